package nodetest

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// enough returns in a row tell that there are two senders.
const enough = 4

// memory is what the reference knows of a node's senders: all that once lost their place, and who came back.
type memory struct {
	gone    []gone // by when they left last
	returns int    // in a row, by different senders
	by, why string
	until   time.Duration // when the returns are forgotten

	// Heartbeats of the same boot that are older than the last one.
	late           bool // there were some
	lateUntil      time.Duration
	lateIP         string
	rowSince       time.Duration // the first of those with nothing newer in between
	rowSeq         int64
	inRow, silent  bool // silent: the last newer one was long ago
	another        bool
	newestThen     int64 // the newest seq when we looked last, at lookedAt
	newestLookedAt time.Duration
}

type gone struct {
	id, ip               string
	firstLeft, forgotten time.Duration
}

func (n *record) addresses() string {
	all := []string{n.ip, n.lateIP}
	for _, g := range n.gone {
		all = append(all, g.ip)
	}
	slices.Sort(all)
	return strings.TrimPrefix(strings.Join(slices.Compact(all), ", "), ", ")
}

func name(boot, ip string) string {
	if boot == "" {
		return "address " + ip
	}
	return "boot " + boot
}

func (r *reference) way(n *record) time.Duration {
	return min(time.Minute, r.threshold(n, n.ival)/3)
}

func (r *reference) window(n *record, h node.Heartbeat) time.Duration {
	return 2 * max(r.threshold(n, n.ival), r.threshold(n, h.Interval))
}

func (r *reference) forget(n *record) {
	if r.w > n.until {
		n.returns, n.by, n.why = 0, "", ""
	}
	if n.returns == enough {
		return
	}
	now := name(n.boot, n.ip)
	n.gone = slices.DeleteFunc(n.gone, func(g gone) bool { return g.id != now && r.w > g.forgotten })
	if len(n.gone) == 1 && n.gone[0].id == now {
		n.gone = nil
	}
	if r.w > n.lateUntil {
		n.late, n.inRow, n.silent, n.another, n.lateIP = false, false, false, false, ""
	}
}

// replaced counts a return when another sender than the last one reports, who lost its place too long ago for a
// heartbeat still under way.
func (r *reference) replaced(n *record, h node.Heartbeat) {
	another := n.another
	n.inRow, n.silent, n.another = false, false, false
	if n.boot == h.BootID && (n.boot != "" || n.ip == h.IP || n.ip == "" || h.IP == "" || kind(n.ip) != kind(h.IP)) {
		if another {
			r.returned(n, h, "", node.ReasonSeq)
		}
		return
	}
	n.late, n.lateIP = false, ""
	leaves := gone{name(n.boot, n.ip), n.ip, r.w, n.heard + r.window(n, h)}
	for _, g := range n.gone {
		if g.id == leaves.id {
			leaves.firstLeft = g.firstLeft
		}
		if g.id == name(h.BootID, h.IP) && r.w-g.firstLeft > r.way(n) {
			why := node.ReasonBootIDs
			if n.boot+h.BootID == "" {
				why = node.ReasonAddresses
			}
			r.returned(n, h, g.id, why)
		}
	}
	n.gone = slices.DeleteFunc(n.gone, func(g gone) bool { return g.id == leaves.id })
	n.gone = append(n.gone, leaves)
	n.gone = n.gone[max(0, len(n.gone)-8):]
}

func (r *reference) returned(n *record, h node.Heartbeat, by, why string) {
	window := r.window(n, h)
	known := n.returns == enough
	switch {
	case known:
	case by != "" && by == n.by:
		n.returns = 1
	default:
		n.returns++
	}
	n.by, n.until = by, r.w+window
	if n.returns == enough {
		n.until = r.w + max(time.Hour, window)
	}
	if n.returns == enough && !known {
		n.why = why
		r.emit(node.Doubled, h.NodeID, n.state, n.state, why+" "+n.addresses(), false)
	}
}

// restored decides about a heartbeat older than the last one of the same boot. It is overtaken and to be ignored,
// unless it is one of a growing row that began long enough after the last that was not.
func (r *reference) restored(n *record, h node.Heartbeat) bool {
	grows := n.inRow && h.Seq > n.rowSeq
	if !n.silent && r.w-n.heard > r.way(n) {
		n.silent, n.heard = true, r.w
	}
	if grows && r.w-n.rowSince >= r.settings.Gap() && n.silent {
		n.late, n.inRow, n.silent, n.another, n.lateIP = false, false, false, false, ""
		return true
	}
	if !n.late {
		n.late, n.newestThen, n.newestLookedAt = true, n.seq, r.w
	}
	if !grows {
		n.inRow, n.rowSince = true, r.w
	}
	n.rowSeq, n.lateUntil, n.lateIP = h.Seq, r.w+r.window(n, h), cmp.Or(h.IP, n.lateIP)
	if r.w-n.newestLookedAt > r.way(n) {
		n.another = n.another || h.Seq < n.newestThen
		n.newestThen, n.newestLookedAt = n.seq, r.w
	}
	return false
}

// kind is 4, 6 or p, for private. The streams have no other addresses.
func kind(ip string) byte {
	switch {
	case strings.HasPrefix(ip, "10."):
		return 'p'
	case strings.Contains(ip, ":"):
		return '6'
	}
	return '4'
}
