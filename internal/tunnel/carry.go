package tunnel

import (
	"context"
	"net"

	"github.com/coder/websocket"
)

// Carry makes a connection of a WebSocket. Its Close ends it at once: whoever is at the
// other side may have gone long ago.
func Carry(ctx context.Context, ws *websocket.Conn) net.Conn {
	return carried{websocket.NetConn(ctx, ws, websocket.MessageBinary), ws}
}

type carried struct {
	net.Conn
	ws *websocket.Conn
}

func (c carried) Close() error { return c.ws.CloseNow() }
