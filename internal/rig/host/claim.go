package host

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports below those that systems hand out to outgoing connections, so that
// nobody takes one over while its server is halted.
const (
	firstPort = 20000
	endPort   = 32000
)

// Claim takes n ports of 127.0.0.1 that nobody listens on. Until Stop no other
// test process gets them.
func (h *Host) Claim(n int) ([]int, error) {
	var ports []int
	for _, i := range rand.Perm(endPort - firstPort) {
		if port := firstPort + i; h.claim("127.0.0.1", port) {
			ports = append(ports, port)
		}
		if len(ports) == n {
			return ports, nil
		}
	}
	return nil, h.failed("find a free port", errors.New("every one is taken"))
}

// ClaimAddress takes an address of loopback on which nobody listens on any of
// the ports, for servers that cannot listen on others. 127.0.0.1 is left to
// those who need no address of their own.
func (h *Host) ClaimAddress(ports ...int) (string, error) {
	for _, i := range rand.Perm(250) {
		if address := "127.0.0." + strconv.Itoa(2+i); h.claim(address, ports...) {
			return address, nil
		}
	}
	return "", h.failed("find a loopback address", errors.New("on every one somebody listens on the server's ports, or listening there is not allowed (ports below 1024 are for root)"))
}

// claim tries the ports. The lock closes the gap between trying them and the
// server's listening, in which another process might find them free as well.
func (h *Host) claim(address string, ports ...int) bool {
	release, ok := lock(net.JoinHostPort(address, strconv.Itoa(ports[0])))
	if !ok {
		return false
	}
	for _, port := range ports {
		l, err := net.Listen("tcp4", net.JoinHostPort(address, strconv.Itoa(port)))
		if err == nil {
			err = l.Close()
		}
		if err != nil {
			release()
			return false
		}
	}
	h.atStop = append(h.atStop, release)
	return true
}
