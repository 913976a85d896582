package ingest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/clientaddr"
	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
)

// Front serves heartbeats with fasthttp, for half of what net/http's server costs: that one watches each connection
// while its request is answered, with a goroutine, a read and two deadlines. Everything else goes to a handler of
// net/http.
type Front struct {
	*Service
	server   fasthttp.Server
	others   fasthttp.RequestHandler
	stopping func() bool
}

// headerBytes bounds a request's header. Each connection has a buffer of this size.
const headerBytes = 8 << 10

// Front makes the engine of a server of its own. Requests that are not heartbeats go to others. Once stopping, clients
// are asked to use their connections no more.
func (s *Service) Front(others http.Handler, stopping func() bool) *Front {
	f := &Front{Service: s, stopping: stopping}
	f.others = fasthttpadaptor.NewFastHTTPHandler(f.surviving(others))
	f.server = fasthttp.Server{
		Handler:                      f.serve,
		HeaderReceived:               f.leaveUnread,
		ErrorHandler:                 f.unreadable,
		Logger:                       frontLog{s},
		ReadTimeout:                  httpserver.ReadTimeout,
		WriteTimeout:                 httpserver.WriteTimeout,
		IdleTimeout:                  httpserver.IdleTimeout,
		ReadBufferSize:               headerBytes,
		WriteBufferSize:              512, // an answer
		MaxRequestBodySize:           contract.MaxBodyBytes,
		CloseOnShutdown:              true,
		DisablePreParseMultipartForm: true, // it would write files
		NoDefaultServerHeader:        true,
		SecureErrorLogMessage:        true,
	}
	return f
}

// Serve takes the connections of l.
func (f *Front) Serve(l net.Listener) error { return f.server.Serve(listener{l}) }

// Shutdown lets requests at hand finish.
func (f *Front) Shutdown(ctx context.Context) error { return f.server.ShutdownWithContext(ctx) }

// Close does nothing: connections that Shutdown left end with the program.
func (f *Front) Close() error { return nil }

// leaveUnread makes a stranger's request one without a body, so that it is answered at once: what he says is not
// waited for, nor kept. The connection ends then.
func (f *Front) leaveUnread(h *fasthttp.RequestHeader) (none fasthttp.RequestConfig) {
	switch n := h.ContentLength(); {
	case n == 0 || n == noBody:
	case !f.knows(h):
		h.SetContentLength(0)
		h.Del("Expect")
		h.SetConnectionClose()
	case n > contract.MaxBodyBytes:
		h.Del("Expect") // 413 at once, not after "go on"
	}
	return none
}

// noBody is fasthttp's length of the body of a request that names none.
const noBody = -2

func (f *Front) knows(h *fasthttp.RequestHeader) bool {
	g, _ := f.door.admits(h.Peek("Authorization"))
	return g == anyNode || g == oneNode
}

// longHeader is from how many bytes on a connection is not kept: it would keep the room of its header while idle, twenty
// times as much.
const longHeader = 2 << 10

// serve answers one request.
func (f *Front) serve(ctx *fasthttp.RequestCtx) {
	defer func() {
		if p := recover(); p != nil {
			f.panicked(p)
			ctx.Response.Reset()
			f.say(ctx, http.StatusInternalServerError, detail("internal error"))
			ctx.SetConnectionClose()
		}
	}()
	switch {
	case ctx.IsPost() && Serves(string(ctx.Path())):
		f.heartbeat(ctx)
	case !readable(ctx.RequestURI()):
		f.say(ctx, http.StatusBadRequest, detail("the address of the request cannot be read"))
	default:
		f.others(ctx)
	}
	if f.stopping() || len(ctx.Request.Header.RawHeaders()) > longHeader {
		ctx.SetConnectionClose()
	}
	ends := ctx.Request.Header.ConnectionClose() || ctx.Response.ConnectionClose()
	if ends && ctx.Response.StatusCode() >= http.StatusBadRequest {
		linger(ctx) // the body may not have been read
	}
}

// readable reports whether net/http's handlers can be asked for this address.
func readable(uri []byte) bool {
	_, err := url.ParseRequestURI(string(uri))
	return err == nil
}

// panicked keeps one request from ending the program, as net/http does.
func (f *Front) panicked(p any) {
	f.Log.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Msg("a request could not be served")
}

// surviving is for a handler that has a goroutine of its own. Its context is not fasthttp's, which is used again while
// what was derived of it may still look at it.
func (f *Front) surviving(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				f.panicked(p)
				f.answer(w, http.StatusInternalServerError, detail("internal error"))
			}
		}()
		h.ServeHTTP(w, r.WithContext(context.Background()))
	})
}

// heartbeat is what postHeartbeat is with net/http.
func (f *Front) heartbeat(ctx *fasthttp.RequestCtx) {
	at := arrival{begun: f.Now(), peer: f.peer(ctx)}
	defer f.done(&at)
	if f.Tracer != nil {
		at.trace = string(ctx.Request.Header.Peek(contract.TraceHeader))
	}
	no := f.authorize(ctx.Request.Header.Peek("Authorization"), &at)
	if no == nil {
		no = f.take(ctx.PostBody(), &at)
	}
	if no != nil {
		no.header(ctx.Response.Header.Set)
		f.refused(&at, no)
		f.say(ctx, no.status, detail(no.detail))
		return
	}
	f.accepted()
	f.say(ctx, http.StatusOK, stored)
}

func (f *Front) peer(ctx *fasthttp.RequestCtx) netip.Addr {
	var peer netip.Addr
	if tcp, ok := ctx.RemoteAddr().(*net.TCPAddr); ok {
		peer = tcp.AddrPort().Addr()
	}
	return f.TrustedProxies.Client(peer, func() []string {
		var hops []string
		for _, v := range ctx.Request.Header.PeekAll(clientaddr.ForwardedFor) {
			hops = append(hops, string(v))
		}
		return hops
	})
}

// say is what answer is with net/http.
func (f *Front) say(ctx *fasthttp.RequestCtx, status int, body []byte) {
	f.metrics.answered(status)
	ctx.SetStatusCode(status)
	h := &ctx.Response.Header
	h.SetContentType(isJSON[0])
	if status != http.StatusOK {
		h.Set("Cache-Control", noStore[0])
		h.Set("X-Content-Type-Options", noSniff[0])
	}
	ctx.SetBody(body)
}

// unreadable answers a request that could not be read. The connection ends.
func (f *Front) unreadable(ctx *fasthttp.RequestCtx, err error) {
	if _, broken := err.(*net.OpError); broken { //nolint:errorlint // others wrap it: of them something was read
		// Nobody said anything, or the rest of it did not come. It is not lingered for: Shutdown may be closing it, all others
		// waiting.
		ctx.SetStatusCode(http.StatusRequestTimeout)
		return
	}
	linger(ctx)
	var header *fasthttp.ErrSmallBuffer
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge): // of one who may report: a stranger's is not read
		at := arrival{peer: f.peer(ctx)}
		f.refused(&at, &bodyTooLong)
		f.say(ctx, bodyTooLong.status, detail(bodyTooLong.detail))
	case errors.As(err, &header):
		f.say(ctx, http.StatusRequestHeaderFieldsTooLarge, detail("the header of the request is too long"))
	default:
		f.say(ctx, http.StatusBadRequest, detail("the request could not be read"))
	}
}

// frontLog takes what fasthttp has to say of connections that broke, and leaves out the details: they quote the header,
// and so the token.
type frontLog struct{ s *Service }

func (l frontLog) Printf(string, ...any) {
	l.s.refusals.Info().Msg("a connection broke, or what came over it could not be read")
}

// lingerTime is how long a client has to see the answer before its connection is cut.
const lingerTime = 500 * time.Millisecond

// listener makes connections that can be closed gently. It outlasts a lack of what a connection needs, as net/http does.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
			return &conn{Conn: c}, nil
		case !slices.ContainsFunc(shortages, func(e error) bool { return errors.Is(err, e) }):
			return nil, err //nolint:wrapcheck // fasthttp compares it
		}
		time.Sleep(pause)
	}
}

// shortages pass: of file descriptors, mostly, here or in the whole system.
var shortages = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED}

// conn is a connection that may hold what nobody reads: closed at once, it would be reset, and the client might never
// see the answer.
type conn struct {
	net.Conn
	lingers bool
}

// linger makes the end of a request's connection a gentle one.
func linger(ctx *fasthttp.RequestCtx) {
	if c, ok := ctx.Conn().(*conn); ok {
		c.lingers = true
	}
}

func (c *conn) Close() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && c.lingers && tcp.CloseWrite() == nil &&
		tcp.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.Copy(io.Discard, tcp)
	}
	return c.Conn.Close() //nolint:wrapcheck // it is the connection's own
}
