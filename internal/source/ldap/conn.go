package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Operations of RFC 4511 by their tags.
const (
	opBind             = 0x60
	opBindResponse     = 0x61
	opUnbind           = 0x42
	opSearch           = 0x63
	opEntry            = 0x64
	opDone             = 0x65
	opReference        = 0x73
	opExtended         = 0x77
	opExtendedResponse = 0x78
	opIntermediate     = 0x79
)

const (
	oidStartTLS = "1.3.6.1.4.1.1466.20037"

	connectTimeout = 15 * time.Second
	keepAlive      = 30 * time.Second
)

var (
	errNoTLS         = errors.New("the server has no StartTLS")
	errNoHandshake   = errors.New("the server ended the connection in place of beginning TLS")
	errNotAsked      = errors.New("an answer came to a question that was not asked")
	errNoCertificate = errors.New("the server asked for a client certificate, and none is set")
)

// conn is one connection to one server, used by one goroutine. The context it
// was opened with closes it.
type conn struct {
	ctx    context.Context
	srv    server // whom it leads to
	stale  bool   // an answer was not read to its end: nothing more can be asked
	net    net.Conn
	unhook func() bool
	in     frames
	w      writer
	id     int
	idle   time.Duration
	// wanted is true while the server has asked for a client certificate, was
	// given none and has not answered yet. With TLS 1.3 the handshake is over for
	// us before the server refuses, and all that is seen is a closed connection.
	wanted bool
}

// message is one LDAPMessage taken apart.
type message struct {
	tag      byte
	op       cursor
	controls cursor
}

// dial opens a TCP connection. TLS is a step of its own, so that the doctor can
// tell them apart.
func dial(ctx context.Context, hostPort string, idle time.Duration) (*conn, error) {
	// A connection that waits for changes may be silent for long: TCP finds out that
	// the other side is gone.
	d := net.Dialer{Timeout: connectTimeout, KeepAlive: keepAlive}
	n, err := d.DialContext(ctx, "tcp", hostPort)
	if err != nil {
		return nil, err
	}
	c := &conn{ctx: ctx, idle: idle}
	c.use(n)
	c.unhook = context.AfterFunc(ctx, func() { _ = n.Close() })
	return c, nil
}

// raw is the TCP connection below.
func (c *conn) raw() net.Conn {
	if t, ok := c.net.(*tls.Conn); ok {
		return t.NetConn()
	}
	return c.net
}

// narrow makes a connection on which nothing is under way take less memory, and no
// messages beyond a size.
func (c *conn) narrow(buffer, most int) {
	if c.in.r == c.in.w {
		c.in.buf, c.in.r, c.in.w, c.in.seen = make([]byte, buffer), 0, 0, 0
	}
	c.in.max = most
}

func (c *conn) use(n net.Conn) {
	c.net = n
	c.in = frames{src: n, buf: make([]byte, readAhead), max: maxFrame, waiting: func() error {
		return n.SetReadDeadline(time.Now().Add(c.idle))
	}, poll: polling(n)}
}

// startTLS asks for TLS on a clear connection (RFC 4511, 4.14).
func (c *conn) startTLS(config *tls.Config) error {
	w := c.begin()
	w.begin(opExtended)
	w.string(0x80, oidStartTLS)
	w.end()
	if err := c.flush(); err != nil {
		return err
	}
	m, err := c.receive()
	if err != nil {
		return err
	}
	if m.tag != opExtendedResponse {
		return errTag
	}
	r, err := decodeResult(m)
	if err != nil {
		return err
	}
	if r.code != 0 {
		return fmt.Errorf("%w: %w", errNoTLS, r.err())
	}
	// What came behind the answer in clear text was not said by the server.
	if c.in.r != c.in.w {
		return errors.New("data came before TLS had begun")
	}
	return c.encrypt(config)
}

// encrypt puts TLS on the connection and proves who the server is.
func (c *conn) encrypt(config *tls.Config) error {
	if len(config.Certificates) == 0 {
		config = config.Clone()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c.wanted = true
			return &tls.Certificate{}, nil
		}
	}
	t := tls.Client(c.net, config)
	if err := t.SetDeadline(time.Now().Add(min(c.idle, connectTimeout))); err != nil {
		return err
	}
	if err := t.HandshakeContext(c.ctx); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: %w", errNoHandshake, err)
		}
		return c.cause(err)
	}
	if err := t.SetDeadline(time.Time{}); err != nil {
		return err
	}
	c.use(t)
	return nil
}

// bind proves who we are by name and password (RFC 4513, 5.1.3). A name
// without a password would be let in as nobody; it is refused here too.
func (c *conn) bind(dn, password string) error {
	if dn == "" {
		return nil
	}
	if password == "" {
		return errors.New("there is no password")
	}
	if err := c.sendBind(dn, password); err != nil {
		return err
	}
	r, err := c.bound()
	if err != nil {
		return err
	}
	if r.code != 0 {
		return r.err()
	}
	return nil
}

// sendBind sends a bind, and forgets the password. A request that was not written
// whole cannot be carried out by the server.
func (c *conn) sendBind(dn, password string, controls ...control) error {
	w := c.begin()
	w.begin(opBind)
	w.integer(tagInteger, 3)
	w.string(tagOctetString, dn)
	w.string(0x80, password)
	w.end()
	w.controls(controls)
	err := c.flush()
	clear(c.w.b[:cap(c.w.b)])
	return err
}

// bound waits for the answer to a bind.
func (c *conn) bound() (result, error) {
	m, err := c.receive()
	if err != nil {
		return result{}, err
	}
	if m.tag != opBindResponse {
		return result{}, errTag
	}
	return decodeResult(m)
}

// close says good-bye and ends the connection; neither can fail in a way that
// matters any more.
func (c *conn) close() {
	c.begin().string(opUnbind, "")
	_ = c.flush()
	c.drop()
}

// drop ends a connection that nothing more can be said on.
func (c *conn) drop() {
	c.unhook()
	_ = c.net.Close()
}

// begin starts the next request; flush sends it.
func (c *conn) begin() *writer {
	c.id++
	c.w.reset()
	c.w.begin(tagSequence)
	c.w.integer(tagInteger, c.id)
	return &c.w
}

func (c *conn) flush() error {
	c.w.end()
	if err := c.net.SetWriteDeadline(time.Now().Add(c.idle)); err != nil {
		return c.cause(err)
	}
	if _, err := c.net.Write(c.w.b); err != nil {
		return c.cause(err)
	}
	return nil
}

// receive waits for the next message that answers the last request.
func (c *conn) receive() (message, error) {
	id, m, err := c.receiveAny()
	if err == nil && id != c.id {
		return message{}, errNotAsked
	}
	return m, err
}

// receiveAny waits for the next message, and tells which request it answers.
func (c *conn) receiveAny() (int, message, error) {
	frame, err := c.in.next()
	if err != nil {
		return 0, message{}, c.cause(err)
	}
	c.wanted = false
	id, m, err := decodeMessage(frame)
	if err != nil {
		return 0, message{}, err
	}
	if id == 0 && m.tag == opExtendedResponse {
		// Notice of disconnection (RFC 4511, 4.4.1) is the only unsolicited one there is.
		if r, err := decodeResult(m); err == nil && r.code != 0 {
			return 0, message{}, fmt.Errorf("the server ended the connection: %w", r.err())
		}
		return 0, message{}, errors.New("the server ended the connection")
	}
	return id, m, nil
}

// cause prefers the reason the connection was closed for to what it looks like
// from the reading side.
func (c *conn) cause(err error) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	if c.wanted && presented(err) == nil {
		return fmt.Errorf("%w: %w", errNoCertificate, err)
	}
	return err
}

func decodeMessage(frame string) (int, message, error) {
	c := cursor(frame)
	id, err := c.integer(tagInteger)
	if err != nil {
		return 0, message{}, err
	}
	if id < 0 {
		return 0, message{}, errNumber
	}
	var m message
	if m.tag, m.op, err = c.next(); err != nil {
		return 0, message{}, err
	}
	if len(c) > 0 {
		if m.controls, err = c.take(0xa0); err != nil {
			return 0, message{}, err
		}
	}
	return id, m, nil
}
