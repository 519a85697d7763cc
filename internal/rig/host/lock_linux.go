package host

import "net"

// lock keeps a name for this process among all of the machine. It is a socket
// in Linux's own space of names: no file is left when the process is killed.
func lock(name string) (release func(), ok bool) {
	l, err := net.Listen("unix", "@rollcall-rig-"+name)
	if err != nil {
		return nil, false
	}
	return func() { _ = l.Close() }, true
}
