// Package load posts heartbeats as many agents would, and takes little CPU itself: it shares the machine with what it
// measures.
package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Options say what is posted. Heartbeat number n, counted from 0 over all connections, is about node n·Stride modulo Nodes.
type Options struct {
	Addr        string // host:port of ingest
	Secret      string
	Connections int
	Nodes       int
	// Stride scatters the nodes, as agents are that began at times of their own: the next to report is not the next by id.
	// It has no divisor in common with Nodes. 0 for 1.
	Stride int
	// Rate is how many a second are posted, each at its own time whatever the answers before it took: a latency counts
	// from then. 0: each connection posts as soon as it has its answer.
	Rate     float64
	Duration time.Duration
	First    int                 // begin with this number
	Count    int                 // stop before this number, 0 for no limit
	Interval int                 // seconds between heartbeats, as the agents say; 0 for 60
	Down     func(n int) bool    // which report DOWN; nil for none
	Alive    func(node int) bool // which nodes still report; nil for all
	Begin    time.Time           // when number 0 is posted; zero for now
}

// Result is what was seen.
type Result struct {
	Accepted  int
	Refused   map[int]int // by status
	Late      int         // posted more than 100 ms after their time, because answers were missing
	Took      time.Duration
	Latencies Latencies // of those accepted
}

// PerSecond is how many heartbeats were accepted a second.
func (r Result) PerSecond() float64 { return float64(r.Accepted) / r.Took.Seconds() }

// Latencies are times in ascending order.
type Latencies []uint32 // µs

// Quantile is the latency that the share q of all does not exceed; 0 for none.
func (l Latencies) Quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return time.Duration(l[min(len(l)-1, int(q*float64(len(l))))]) * time.Microsecond
}

// Sorted are the same in ascending order.
func Sorted(l Latencies) Latencies {
	slices.Sort(l)
	return l
}

// lateness is how late a heartbeat may be posted before it is counted as late.
const lateness = 100 * time.Millisecond

// Run posts until the duration is over, or ctx ends. An error means that a connection broke.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.Begin.IsZero() {
		o.Begin = time.Now()
	}
	if o.Interval == 0 {
		o.Interval = 60
	}
	if o.Stride == 0 {
		o.Stride = 1
	}
	workers := make([]*worker, o.Connections)
	errs := make([]error, o.Connections)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for i := range workers {
		w := &worker{o: &o, first: o.First + i, refused: make(map[int]int)}
		workers[i] = w
		wg.Go(func() {
			if errs[i] = w.run(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	r := Result{Refused: make(map[int]int), Took: time.Since(o.Begin)}
	for _, w := range workers {
		r.Latencies = append(r.Latencies, w.latencies...)
		r.Late += w.late
		for status, n := range w.refused {
			r.Refused[status] += n
		}
	}
	r.Accepted = len(r.Latencies)
	slices.Sort(r.Latencies)
	return r, errors.Join(errs...)
}

// worker is one connection.
type worker struct {
	o         *Options
	first     int
	conn      net.Conn
	in        *bufio.Reader
	request   []byte
	text      []byte
	latencies Latencies
	late      int
	refused   map[int]int
}

func (w *worker) run(ctx context.Context) error {
	conn, err := net.Dial("tcp", w.o.Addr)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	defer conn.Close()
	w.conn, w.in = conn, bufio.NewReaderSize(conn, 1<<10)
	end := w.o.Begin.Add(w.o.Duration)
	for n := w.first; w.o.Count == 0 || n < w.o.Count; n += w.o.Connections {
		at, ok := w.await(ctx, n, end)
		if !ok {
			return nil
		}
		node := n % w.o.Nodes * w.o.Stride % w.o.Nodes
		if w.o.Alive != nil && !w.o.Alive(node) {
			continue
		}
		status, err := w.post(n, node)
		if err != nil {
			return fmt.Errorf("load: heartbeat %d: %w", n, err)
		}
		if status != 200 {
			w.refused[status]++
			continue
		}
		w.latencies = append(w.latencies, uint32(time.Since(at).Microseconds()))
	}
	return nil
}

// await waits for the time of heartbeat n.
func (w *worker) await(ctx context.Context, n int, end time.Time) (at time.Time, ok bool) {
	now := time.Now()
	at = now
	if w.o.Rate > 0 {
		at = w.o.Begin.Add(time.Duration(float64(n) / w.o.Rate * float64(time.Second)))
	}
	if at.After(end) || now.After(end) || ctx.Err() != nil {
		return at, false
	}
	if early := at.Sub(now); early > 0 {
		time.Sleep(early)
	} else if -early > lateness {
		w.late++
	}
	return at, ctx.Err() == nil
}

var (
	statusUp   = []byte("UP")
	statusDown = []byte("DOWN")
)

// NodeID is the id of a node of the load.
func NodeID(node int) string { return fmt.Sprintf("node-%07d", node) }

// body is what a current agent sends of a node: about 400 bytes. The machines run on from one load to the next, so the
// sequence grows with the time.
func (o *Options) body(dst []byte, node, n int, status []byte) []byte {
	dst = fmt.Appendf(dst, `{"node_id":"node-%07d","ip":"10.%d.%d.%d","meta":"dc=bench,rack=%d","status":"%s"`,
		node, node>>16&255, node>>8&255, node&255, node%97, status)
	if len(status) == len(statusDown) {
		dst = append(dst, `,"reason":"no_p2pd"`...)
	}
	return fmt.Appendf(dst, `,"interval_sec":%d,"boot_id":"boot-%07d","seq":%d,"agent":{"version":"1.0.0","os":"linux","arch":"amd64"},`+
		`"metrics":{"cpu_percent":%d.5,"memory_percent":41.2,"disk_percent":63.0,"load1":1.25,"uptime_sec":%d},`+
		`"workload":{"name":"rl-swarm","phase":"training","round":%d}}`, o.Interval, node, o.Begin.UnixMicro()+int64(n), n%100, n, n/1000)
}

// post sends one heartbeat and reads the answer.
func (w *worker) post(n, node int) (status int, err error) {
	said := statusUp
	if w.o.Down != nil && w.o.Down(n) {
		said = statusDown
	}
	w.text = w.o.body(w.text[:0], node, n, said)
	w.request = append(w.request[:0], "POST /api/heartbeat HTTP/1.1\r\nHost: "...)
	w.request = append(w.request, w.o.Addr...)
	w.request = append(w.request, "\r\nAuthorization: Bearer "...)
	w.request = append(w.request, w.o.Secret...)
	w.request = append(w.request, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	w.request = strconv.AppendInt(w.request, int64(len(w.text)), 10)
	w.request = append(append(w.request, "\r\n\r\n"...), w.text...)
	if _, err := w.conn.Write(w.request); err != nil {
		return 0, err
	}
	return w.answer()
}

var contentLength = []byte("Content-Length: ")

// answer reads a response with a Content-Length.
func (w *worker) answer() (status int, err error) {
	line, err := w.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, fmt.Errorf("the answer begins with %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, fmt.Errorf("the answer begins with %q", line)
	}
	length := 0
	for {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		if text, ok := bytes.CutPrefix(line, contentLength); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(text))); err != nil {
				return 0, err
			}
		}
	}
	_, err = io.CopyN(io.Discard, w.in, int64(length))
	return status, err
}
