package samba

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode/utf16"
)

// image is a provisioned domain with its first entries. Provisioning takes most
// of a start's time, so that within a process it is done once for each suffix
// and LDIF. It holds keys, so it is kept in memory alone.
type image struct {
	once sync.Once
	tar  []byte
	err  error
}

var (
	imagesMu sync.Mutex
	images   = map[string]*image{}
)

// fill brings in the databases, from the image or by making them.
func (s *Server) fill(ctx context.Context) error {
	if s.joins != nil {
		return s.join(ctx)
	}
	first := fmt.Sprintf("dn: OU=people,%[1]s\nobjectClass: organizationalUnit\n\ndn: OU=groups,%[1]s\nobjectClass: organizationalUnit\n\n", s.Base)
	if s.ldif != "" {
		text, err := os.ReadFile(s.ldif)
		if err != nil {
			return fmt.Errorf("samba rig: read the first entries: %w", err)
		}
		first = string(text)
	}
	if err := s.folders(); err != nil {
		return err
	}
	key := s.Base + "\n" + first
	imagesMu.Lock()
	img := images[key]
	if img == nil {
		img = &image{}
		images[key] = img
	}
	imagesMu.Unlock()
	made := false
	img.once.Do(func() {
		made = true
		if img.err = s.provision(ctx, first); img.err == nil {
			img.tar, img.err = pack(s.Data, "private", "state")
		}
	})
	if img.err != nil {
		// The next to try may have more time.
		imagesMu.Lock()
		if images[key] == img {
			delete(images, key)
		}
		imagesMu.Unlock()
		return img.err
	}
	if made {
		return nil
	}
	if err := unpack(img.tar, s.Data); err != nil {
		return err
	}
	// The image's passwords are those of the server it was made for.
	return s.change(ctx, setPassword(s.AdminDN, s.AdminPassword)+setPassword(s.ReaderDN, s.ReaderPassword))
}

// provision makes the domain, a policy under which test passwords are good and
// five failures lock an account, the reader, and the first entries.
func (s *Server) provision(ctx context.Context, first string) error {
	err := s.Run(ctx, "", "samba-tool", "domain", "provision", "--configfile="+s.configFile(), "--realm="+strings.ToUpper(s.realm), "--domain="+s.workgroup(),
		"--host-name="+s.name, "--host-ip="+s.address, "--server-role=dc", "--dns-backend=NONE", "--use-rfc2307")
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "dn: %s\nchangetype: modify\n", s.Base)
	for _, p := range [][2]string{
		{"pwdProperties", "0"}, {"minPwdLength", "4"}, {"minPwdAge", "0"}, {"maxPwdAge", "-9223372036854775808"}, {"pwdHistoryLength", "0"},
		{"lockoutThreshold", "5"}, {"lockoutDuration", "-600000000"}, {"lockOutObservationWindow", "-600000000"},
	} {
		fmt.Fprintf(&b, "replace: %[1]s\n%[1]s: %[2]s\n-\n", p[0], p[1])
	}
	fmt.Fprintf(&b, "\ndn: %s\nchangetype: add\nobjectClass: user\nsAMAccountName: reader\nunicodePwd:: %s\nuserAccountControl: 66048\n\n", s.ReaderDN, UnicodePwd(s.ReaderPassword))
	b.WriteString(setPassword(s.AdminDN, s.AdminPassword))
	b.WriteString(first)
	return s.change(ctx, b.String())
}

func setPassword(dn, password string) string {
	return fmt.Sprintf("dn: %s\nchangetype: modify\nreplace: unicodePwd\nunicodePwd:: %s\n\n", dn, UnicodePwd(password))
}

// change applies LDIF to the databases of a server that does not run, all of it
// or nothing. A record without changetype is added.
func (s *Server) change(ctx context.Context, ldif string) error {
	file := filepath.Join(s.Dir, "change.ldif")
	if err := s.WriteFile(file, []byte(ldif)); err != nil {
		return err
	}
	return errors.Join(s.Run(ctx, "", "ldbmodify", "--configfile="+s.configFile(), "-H", s.database(), file), os.Remove(file))
}

// UnicodePwd is the form of a password for LDIF's "unicodePwd:: ": base64 of
// UTF-16LE in double quotes ([MS-ADTS] 3.1.1.3.1.5.1).
func UnicodePwd(password string) string {
	return base64.StdEncoding.EncodeToString([]byte(QuotedPassword(password)))
}

// QuotedPassword is the value of unicodePwd itself.
func QuotedPassword(password string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(`"` + password + `"`)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

// pack makes a tar of folders below dir.
func pack(dir string, folders ...string) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("samba rig: pack its databases: %w", err)
	}
	w := tar.NewWriter(z)
	for _, folder := range folders {
		err := filepath.Walk(filepath.Join(dir, folder), func(path string, info os.FileInfo, err error) error {
			if err != nil || !info.Mode().IsRegular() && !info.IsDir() {
				return err // sockets are made anew
			}
			name, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			h := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), Typeflag: tar.TypeDir}
			if info.Mode().IsRegular() {
				h.Typeflag, h.Size = tar.TypeReg, info.Size()
			}
			if err := w.WriteHeader(h); err != nil || info.IsDir() {
				return err
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(w, f)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("samba rig: pack its databases: %w", err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		return nil, fmt.Errorf("samba rig: pack its databases: %w", err)
	}
	return out.Bytes(), nil
}

func unpack(packed []byte, dir string) error {
	failed := func(err error) error { return fmt.Errorf("samba rig: unpack its databases: %w", err) }
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return failed(err)
	}
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return failed(err)
		}
		path, mode := filepath.Join(dir, h.Name), os.FileMode(h.Mode)
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, mode); err != nil {
				return failed(err)
			}
			continue
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
		if err != nil {
			return failed(err)
		}
		if _, err := io.Copy(f, r); err != nil {
			return failed(errors.Join(err, f.Close()))
		}
		if err := f.Close(); err != nil {
			return failed(err)
		}
	}
}
