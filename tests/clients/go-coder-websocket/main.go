// A listener on Go's coder/websocket, which asks for compression.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"github.com/coder/websocket"
)

var (
	target = os.Getenv("SLUICE_CLIENT_URL")
	token  = os.Getenv("SLUICE_CLIENT_TOKEN")
)

// Events may be larger than the library's own bound of 32 KiB.
const messageBytesMax = 1 << 20

func say(line map[string]any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func open(ctx context.Context, query, token string) (*websocket.Conn, *http.Response, error) {
	return websocket.Dial(ctx, target+"?"+query, &websocket.DialOptions{
		HTTPHeader:      http.Header{"Authorization": {"Bearer " + token}},
		Subprotocols:    []string{"sluice.v1"},
		CompressionMode: websocket.CompressionContextTakeover,
	})
}

func refused(ctx context.Context) {
	socket, response, err := open(ctx, "earliest", "wrong")
	if err == nil {
		socket.CloseNow()
		panic("a wrong token was let in")
	}
	if response == nil {
		panic(err)
	}
	say(map[string]any{"refused": response.StatusCode})
}

func listen(ctx context.Context, query string, leaveAfter int) string {
	socket, response, err := open(ctx, query, token)
	if err != nil {
		panic(err)
	}
	defer socket.CloseNow()
	socket.SetReadLimit(messageBytesMax)
	if agreed := response.Header.Get("Sec-WebSocket-Extensions"); agreed != "" {
		panic("an extension was agreed on: " + agreed)
	}
	say(map[string]any{"opened": socket.Subprotocol()})
	cursor := ""
	for left := leaveAfter; left > 0; {
		kind, text, err := socket.Read(ctx)
		var closed websocket.CloseError
		if errors.As(err, &closed) {
			say(map[string]any{"closed": closed.Code, "reason": closed.Reason})
			return cursor
		}
		if err != nil || kind != websocket.MessageText {
			panic(fmt.Sprint("no text: ", kind, err))
		}
		say(map[string]any{"message": string(text)})
		var message struct {
			Cursor string
			Data   []json.RawMessage
		}
		if err := json.Unmarshal(text, &message); err != nil {
			panic(err)
		}
		if len(message.Data) > 0 {
			cursor = message.Cursor
			left -= len(message.Data)
		}
	}
	// The answer to a ping is seen by whoever reads.
	go func() {
		for {
			if _, _, err := socket.Read(ctx); err != nil {
				return
			}
		}
	}()
	if err := socket.Ping(ctx); err != nil {
		panic(err)
	}
	say(map[string]any{"pong": true})
	// Fails unless the server has answered with the same code.
	if err := socket.Close(websocket.StatusNormalClosure, "enough"); err != nil {
		panic(err)
	}
	say(map[string]any{"left": websocket.StatusNormalClosure})
	return cursor
}

func main() {
	ctx := context.Background()
	leaveAfter, err := strconv.Atoi(os.Getenv("SLUICE_CLIENT_LEAVE_AFTER"))
	if err != nil {
		panic(err)
	}
	refused(ctx)
	cursor := listen(ctx, "earliest", leaveAfter)
	listen(ctx, "cursor="+url.QueryEscape(cursor), math.MaxInt)
}
