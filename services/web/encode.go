package web

import (
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// chunk is how much JSON is gathered before it is written: an answer of any length needs no more memory.
const chunk = 32 << 10

// writeNodes encodes nodes as GET /api/nodes answers them. It is written by hand since a hundred thousand nodes
// are asked for at once.
func writeNodes(w io.Writer, nodes []*node.Node, now time.Time, clock node.Clock) error {
	b := make([]byte, 0, chunk+chunk/4)
	b = append(b, '[')
	for i, n := range nodes {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '\n')
		b = appendNode(b, n, now, &clock)
		if len(b) < chunk {
			continue
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		b = b[:0]
	}
	b = append(b, "\n]\n"...)
	_, err := w.Write(b)
	return err
}

// appendNode writes first the seven fields that scripts of users rely on, then the others.
func appendNode(b []byte, n *node.Node, now time.Time, clock *node.Clock) []byte {
	b = append(b, `{"node_id":`...)
	b = appendString(b, n.ID)
	b = append(b, `,"ip":`...)
	b = appendString(b, n.IP)
	b = append(b, `,"last_seen":`...)
	b = appendSeconds(b, n.Heard)
	b = append(b, `,"computed":`...)
	b = appendUpDown(b, n.State.Serving())
	b = append(b, `,"last_state":`...)
	b = appendUpDown(b, saidUp(n))
	b = appendOptional(b, `,"meta":`, n.Meta)
	b = append(b, `,"age_sec":`...)
	b = strconv.AppendInt(b, int64(age(n, now)/time.Second), 10)

	b = append(b, `,"state":`...)
	b = appendString(b, string(n.State))
	b = appendOptional(b, `,"reason":`, n.Reason)
	b = appendOptional(b, `,"evidence":`, n.Evidence)
	b = appendOptional(b, `,"name":`, n.Name)
	b = append(b, `,"since":`...)
	b = appendSeconds(b, n.Since)
	b = append(b, `,"joined":`...)
	b = appendSeconds(b, n.Joined)
	b = append(b, `,"threshold_sec":`...)
	b = appendSpan(b, clock.Settings.ThresholdOf(n))
	b = append(b, `,"interval_sec":`...)
	b = appendSpan(b, n.Interval)
	return append(appendSenders(appendAgent(b, n), n, clock.W), '}')
}

// appendSpan writes a span in seconds, which are whole ones nearly always.
func appendSpan(b []byte, d time.Duration) []byte {
	if d%time.Second == 0 {
		return strconv.AppendInt(b, int64(d/time.Second), 10)
	}
	return strconv.AppendFloat(b, d.Seconds(), 'f', -1, 64)
}

// appendSenders writes the addresses of those who use the node's id by turns. Of one sender there is no such field.
func appendSenders(b []byte, n *node.Node, w time.Duration) []byte {
	d, doubled := n.Doubled(w)
	if !doubled {
		return b
	}
	b = append(b, `,"senders":[`...)
	for i, address := range d.Addresses {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, address)
	}
	return append(b, ']')
}

// appendAgent writes which program reports, or null for one that does not say.
func appendAgent(b []byte, n *node.Node) []byte {
	b = append(b, `,"agent":`...)
	if n.AgentVersion == "" && n.OS == "" && n.Arch == "" {
		return append(b, "null"...)
	}
	b = append(b, `{"version":`...)
	b = appendString(b, n.AgentVersion)
	b = append(b, `,"os":`...)
	b = appendString(b, n.OS)
	b = append(b, `,"arch":`...)
	b = appendString(b, n.Arch)
	return append(b, '}')
}

// saidUp is the agent's last word, which a lost node's state no longer holds. Told does: it stays Down when a node
// that was told down falls silent, and is Lost, Up or Degraded in every other case.
func saidUp(n *node.Node) bool {
	if n.State == node.Lost {
		return n.Told != node.Down
	}
	return n.State.Serving()
}

// age is how long ago the node was last heard, never negative: the stamp is another machine's clock.
func age(n *node.Node, now time.Time) time.Duration {
	if n.Heard == 0 {
		return 0
	}
	return max(now.Sub(n.Heard.Time()), 0)
}

func appendSeconds(b []byte, s node.Stamp) []byte {
	return strconv.AppendInt(b, int64(s)/int64(time.Second), 10)
}

func appendUpDown(b []byte, up bool) []byte {
	if up {
		return append(b, `"UP"`...)
	}
	return append(b, `"DOWN"`...)
}

// appendOptional writes a text, or null for an empty one.
func appendOptional(b []byte, key, text string) []byte {
	b = append(b, key...)
	if text == "" {
		return append(b, "null"...)
	}
	return appendString(b, text)
}

// appendString writes a JSON string. Most texts are plain; all others are left to encoding/json, which also makes
// valid what is not UTF-8, and keeps <, > and & out.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string can always be encoded
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
