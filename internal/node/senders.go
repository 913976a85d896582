package node

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// What two senders are told from a reboot, a changed address or a late heartbeat by.
const (
	maxSenders  = 8           // remembered for one node
	doubledFrom = 4           // returns in a row that make a node doubled: heartbeats held back, and let go at once, make three
	doubledFor  = time.Hour   // of observed time without a return after which it is not doubled any more
	longestWay  = time.Minute // that a heartbeat may need: after it, nothing overtaken is expected
)

// Reasons of a doubled node: what gave the senders away.
const (
	ReasonBootIDs   = "boot_ids"  // they have different boot ids, or one of them has none
	ReasonSeq       = "seq"       // one boot id, but two counts: one is a clone of the other
	ReasonAddresses = "addresses" // addresses alone: it may be one host with two ways out
)

// Doubling says which senders use a node's id by turns.
type Doubling struct {
	Addresses []string // sorted; one alone when all senders have the same, none when none has any
	Reason    string   // one of ReasonBootIDs, ReasonSeq, ReasonAddresses
}

// Doubled returns what is known of the senders that use the node's id by turns, as of the reading w of the observation
// clock. It is false when there was one sender only in the last hour before w.
func (n *Node) Doubled(w time.Duration) (Doubling, bool) {
	if n.Senders == "" {
		return Doubling{}, false
	}
	m := decodeSenders(n.Senders)
	if !m.doubled() || w > m.Until {
		return Doubling{}, false
	}
	return Doubling{Addresses: m.addresses(n.IP), Reason: m.Why}, true
}

// senders is what a node remembers of those who report under its id. It is empty for a node with one sender: the last
// one is the node's BootID and IP. All times are readings of the observation clock.
type senders struct {
	// Known are those whose place another took, the last to leave at the end. The one that reports now is among them
	// when it left before.
	Known  []sender `json:"known,omitempty"`
	Behind *behind  `json:"behind,omitempty"`

	Returns int           `json:"returns,omitempty"` // in a row, at most doubledFrom
	By      string        `json:"by,omitempty"`      // who returned last
	Why     string        `json:"why,omitempty"`     // reason, once doubled
	Until   time.Duration `json:"until,omitempty"`   // when the returns are forgotten
}

type sender struct {
	ID      string        `json:"id"` // boot id, or the address of a sender without one
	Address string        `json:"address,omitempty"`
	Left    time.Duration `json:"left"`  // when another took its place for the first time
	Until   time.Duration `json:"until"` // when it is forgotten
}

// behind are heartbeats of the node's last boot id that are older than what was folded: overtaken ones, those of a
// machine that was restored from a snapshot, or those of a clone.
type behind struct {
	Row     bool          `json:"row,omitempty"`     // nothing was folded since Since
	Since   time.Duration `json:"since"`             // when the row began
	Seq     int64         `json:"seq"`               // of the last one
	Late    bool          `json:"late,omitempty"`    // nothing was folded for longer than the longest way before it
	Another bool          `json:"another,omitempty"` // one of the row was not overtaken: it is another line
	Top     int64         `json:"top"`               // seq that was folded last at TopAt
	TopAt   time.Duration `json:"top_at"`
	Address string        `json:"address,omitempty"`
	Until   time.Duration `json:"until"` // when all this is forgotten
}

func (m *senders) doubled() bool { return m.Returns >= doubledFrom }

// addresses are those of all senders, given that of the last one.
func (m *senders) addresses(last string) []string {
	all := []string{last}
	for _, s := range m.Known {
		all = append(all, s.Address)
	}
	if m.Behind != nil {
		all = append(all, m.Behind.Address)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(a string) bool { return a == "" })
}

// follow notes who sent a heartbeat that is about to be folded. For the sender of before it costs a comparison.
func (f *Fold) follow(n *record, h *Heartbeat) {
	same := f.sameSender(n, h)
	if same && f.nodes.is(n, textSenders, "") {
		return
	}
	m := f.recall(n)
	switch {
	case !same:
		m.Behind = nil // it counted the seq of another boot
		f.replace(n, h, m)
	case m.Behind != nil:
		b := m.Behind
		if b.Another {
			f.returned(n, m, "", ReasonSeq, f.window(n, h))
		}
		b.Row, b.Late, b.Another = false, false, false
	}
	f.remember(n, m)
}

// replace lets the sender of h take the place of the node's last one. If it had this place before, it returns: a
// machine that was started anew, or got another address, never does. What it sent before it left may still arrive,
// but not for longer than the longest way.
func (f *Fold) replace(n *record, h *Heartbeat, m *senders) {
	w, window := f.clock.W, f.window(n, h)
	if i := m.index(identity(h.BootID, h.IP)); i >= 0 && w-m.Known[i].Left > f.way(n) {
		why := ReasonBootIDs
		if f.nodes.is(n, textBoot, "") && h.BootID == "" {
			why = ReasonAddresses
		}
		f.returned(n, m, m.Known[i].ID, why, window)
	}
	ip := f.nodes.text(n, textIP)
	left := sender{ID: identity(f.nodes.text(n, textBoot), ip), Address: ip, Left: w, Until: n.heardW + window}
	if i := m.index(left.ID); i >= 0 {
		left.Left = m.Known[i].Left
		m.Known = slices.Delete(m.Known, i, i+1)
	}
	m.Known = append(m.Known, left)
	if len(m.Known) > maxSenders {
		m.Known = m.Known[1:]
	}
}

// returned counts a return, and tells of it when it makes the node doubled. Two to the same sender are no row: who came
// between them was not seen again.
func (f *Fold) returned(n *record, m *senders, by, why string, window time.Duration) {
	w := f.clock.W
	if m.doubled() {
		m.Until = w + max(doubledFor, window)
		return
	}
	if m.By == by && by != "" {
		m.Returns = 0
	}
	m.Returns++
	m.By, m.Until = by, w+window
	if !m.doubled() {
		return
	}
	m.Why, m.Until = why, w+max(doubledFor, window)
	e := f.event(n, Doubled)
	e.From, e.To = n.State(), n.State() // that it stays what it is ends no incident
	e.Reason, e.Evidence = why, strings.Join(m.addresses(f.nodes.text(n, textIP)), ", ")
	f.emit(e)
}

// overtaken decides about a heartbeat that is older than the last one folded of the same boot: it is ignored. Unless
// nothing else was folded for longer than anything needs on its way, and this is not the first of its kind: then the
// machine was restored from a snapshot, and goes on from there.
func (f *Fold) overtaken(n *record, h *Heartbeat) bool {
	m := f.recall(n)
	if m.Behind == nil {
		m.Behind = &behind{Top: n.seq, TopAt: f.clock.W}
	}
	b := m.Behind
	grows := b.Row && h.Seq > b.Seq
	if late := f.clock.W-n.heardW > f.way(n); late && !b.Late {
		// Whoever sent it is there. One such heartbeat keeps the node, so that a restored machine is not lost before
		// its second one; more do not, or what repeats itself would keep a dead node for ever.
		b.Late = true
		n.heard, n.heardW = f.clock.Position.Stamp, f.clock.W
		f.touch(n)
	}
	restored := grows && b.Late && f.clock.W-b.Since >= f.clock.Settings.Gap()
	if restored {
		m.Behind = nil
	} else {
		f.lag(n, h, b, grows)
	}
	f.remember(n, m)
	return !restored
}

// lag notes an ignored heartbeat.
func (f *Fold) lag(n *record, h *Heartbeat, b *behind, grows bool) {
	w := f.clock.W
	if !grows {
		b.Row, b.Since = true, w
	}
	b.Seq, b.Until = h.Seq, w+f.window(n, h)
	if h.IP != "" {
		b.Address = h.IP
	}
	if w-b.TopAt > f.way(n) {
		// It was sent before one that arrived longer ago than anything is on its way.
		b.Another = b.Another || h.Seq < b.Top
		b.Top, b.TopAt = n.seq, w
	}
}

// way is how long after it was overtaken a heartbeat may still arrive. Where nodes are lost sooner, it is shorter: so
// a restored machine is heard before it is lost.
func (f *Fold) way(n *record) time.Duration {
	return min(longestWay, f.thresholdOf(n)/3)
}

// window is how long a return, and a sender that left, are remembered: either of the two may be the slower one.
func (f *Fold) window(n *record, h *Heartbeat) time.Duration {
	return 2 * max(f.thresholdOf(n), f.clock.Settings.threshold(n.threshold, interval(h)))
}

// recall returns what the node remembers, without what is forgotten by now.
func (f *Fold) recall(n *record) *senders {
	m, w := decodeSenders(f.nodes.text(n, textSenders)), f.clock.W
	if m.Returns > 0 && w > m.Until {
		m.Returns, m.By, m.Why, m.Until = 0, "", "", 0
	}
	if m.doubled() {
		return m
	}
	last := identity(f.nodes.text(n, textBoot), f.nodes.text(n, textIP))
	m.Known = slices.DeleteFunc(m.Known, func(s sender) bool { return s.ID != last && w > s.Until })
	if len(m.Known) == 1 && m.Known[0].ID == last {
		m.Known = nil // alone again
	}
	if m.Behind != nil && w > m.Behind.Until {
		m.Behind = nil
	}
	return m
}

func (f *Fold) remember(n *record, m *senders) {
	if f.nodes.set(n, textSenders, m.encode()) {
		f.touch(n)
	}
}

func (m *senders) index(id string) int {
	return slices.IndexFunc(m.Known, func(s sender) bool { return s.ID == id })
}

func (m *senders) encode() string {
	if len(m.Known) == 0 && m.Behind == nil && m.Returns == 0 {
		return ""
	}
	text, _ := json.Marshal(m) // strings and numbers always marshal
	return string(text)
}

// decodeSenders reads what encode wrote. What a newer program wrote, and this one cannot read, is forgotten.
func decodeSenders(text string) *senders {
	m := &senders{}
	if text != "" && json.Unmarshal([]byte(text), m) != nil {
		return &senders{}
	}
	return m
}

// identity is who sent a heartbeat: the boot, or the address for an agent that does not say.
func identity(bootID, address string) string {
	if bootID != "" {
		return bootID
	}
	return "@" + address
}

// sameSender reports whether h may come from the node's last sender. An old agent's address is no proof against it
// where it is of another kind, or missing: a host has, as a rule, one of each, and looks its address up anew each time.
func (f *Fold) sameSender(n *record, h *Heartbeat) bool {
	if h.BootID != "" || !f.nodes.is(n, textBoot, "") {
		return f.nodes.is(n, textBoot, h.BootID)
	}
	ip := f.nodes.text(n, textIP)
	return ip == h.IP || ip == "" || h.IP == "" || kindOf(ip) != kindOf(h.IP)
}

// addressKind tells addresses apart that one host may well have at a time.
type addressKind struct{ valid, v6, local bool }

func kindOf(address string) addressKind {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return addressKind{}
	}
	local := a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
	return addressKind{valid: true, v6: a.Is6() && !a.Is4In6(), local: local}
}
