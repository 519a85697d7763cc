package service

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"

	"rollcall.dev/rollcall/internal/fault"
)

// places are where program and settings lie.
type places struct{ program, settings string }

func folders() (places, error) {
	programs, err := windows.KnownFolderPath(windows.FOLDERID_ProgramFiles, 0)
	if err != nil {
		return places{}, fault.New(fault.Internal, "where programs lie: %w", err)
	}
	data, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, 0)
	if err != nil {
		return places{}, fault.New(fault.Internal, "where programs keep their data: %w", err)
	}
	return places{filepath.Join(programs, "Rollcall", "rollcall.exe"), filepath.Join(data, "Rollcall", "agent.env")}, nil
}

// kept is the environment file as it is; nil where there is none.
func (at places) kept() ([]byte, error) {
	text, err := os.ReadFile(at.settings)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "the settings: %w", err)
	}
	return text, nil
}

// shut makes the folder of settings, for administrators and the service alone. Everybody
// may make folders where it is made: one that was there is used only if nobody else put
// something into it.
func (at places) shut() error {
	folder := filepath.Dir(at.settings)
	rights, err := windows.SecurityDescriptorFromString(folderRights)
	if err != nil {
		return fault.New(fault.Internal, "rights of the folder of settings: %w", err)
	}
	name, err := windows.UTF16PtrFromString(folder)
	if err != nil {
		return fault.New(fault.Internal, "the folder of settings: %w", err)
	}
	sa := &windows.SecurityAttributes{SecurityDescriptor: rights}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	switch err := windows.CreateDirectory(name, sa); {
	case errors.Is(err, windows.ERROR_ALREADY_EXISTS):
		if err := trusted(folder); err != nil {
			return err
		}
		if err := allow(folder, folderRights); err != nil {
			return err
		}
		entries, err := os.ReadDir(folder)
		if err != nil {
			return fault.New(fault.Invalid, "the folder of settings: %w", err)
		}
		for _, e := range entries {
			if err := trusted(filepath.Join(folder, e.Name())); err != nil {
				return err
			}
		}
		return nil
	case err != nil:
		return fault.New(fault.Invalid, "make %s: %w", folder, err)
	}
	return nil
}

// trusted refuses what somebody else than an administrator made, and what leads elsewhere.
func trusted(path string) error {
	refuse := func(what string) error {
		return fault.New(fault.Denied, "%s %s", path, what).WithHint("look who put it there and why, take it away, and install again")
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fault.New(fault.Invalid, "the folder of settings: %w", err)
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return refuse("leads elsewhere")
	}
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return fault.New(fault.Invalid, "whose %s is: %w", path, err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fault.New(fault.Invalid, "whose %s is: %w", path, err)
	}
	if owner.IsWellKnown(windows.WinBuiltinAdministratorsSid) || owner.IsWellKnown(windows.WinLocalSystemSid) {
		return nil
	}
	if me, err := windows.GetCurrentProcessToken().GetTokenUser(); err == nil && owner.Equals(me.User.Sid) {
		return nil // whoever installs services is an administrator
	}
	name := owner.String()
	if account, domain, _, err := owner.LookupAccount(""); err == nil {
		name = domain + `\` + account
	}
	return refuse("belongs to " + name + ", and not to the administrators")
}

// allow says who may do what with a file or a folder, and that it is the administrators'.
func allow(path, rights string) error {
	sd, err := windows.SecurityDescriptorFromString(rights)
	if err != nil {
		return fault.New(fault.Internal, "rights of %s: %w", path, err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fault.New(fault.Internal, "rights of %s: %w", path, err)
	}
	list, _, err := sd.DACL()
	if err != nil {
		return fault.New(fault.Internal, "rights of %s: %w", path, err)
	}
	err = windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, owner, nil, list, nil)
	if err != nil {
		return fault.New(fault.Denied, "keep others out of %s: %w", path, err)
	}
	return nil
}

// write puts the environment file into its folder, shut to others before anything is in it.
func (at places) write(text []byte) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(at.settings), "agent-*.env")
	if err != nil {
		return fault.New(fault.Invalid, "write the settings: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name()) //nolint:errcheck // the error before it counts
		}
	}()
	if err := allow(temp.Name(), fileRights); err != nil {
		return errors.Join(err, temp.Close())
	}
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), at.settings)
	}
	if err != nil {
		return fault.New(fault.Invalid, "write the settings: %w", err)
	}
	return nil
}

// place copies this very program to where only administrators may change it and every
// service may read it: it was perhaps started from somebody's downloads.
func (at places) place() error {
	failed := func(err error) error { return fault.New(fault.Invalid, "put the program into its place: %w", err) }
	own, err := os.Executable()
	if err != nil {
		return failed(err)
	}
	from, err := os.Open(own)
	if err != nil {
		return failed(err)
	}
	defer from.Close()
	if here, err := from.Stat(); err == nil {
		if there, err := os.Stat(at.program); err == nil && os.SameFile(here, there) {
			return nil
		}
	}
	folder := filepath.Dir(at.program)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return failed(err)
	}
	to, err := os.CreateTemp(folder, "rollcall-*.exe")
	if err != nil {
		return failed(err)
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Close()); err == nil {
		err = os.Rename(to.Name(), at.program)
	}
	if err != nil {
		return failed(errors.Join(err, os.Remove(to.Name())))
	}
	return nil
}
