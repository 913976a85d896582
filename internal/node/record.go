package node

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// record is what a fold keeps of a node in memory. There may be millions, so it has no more than decisions and events
// need: what agents tell for people alone (AgentVersion, OS, Arch, Metrics, Workload) passes through to the commit.
type record struct {
	texts texts

	since, incident, joined, heard Stamp
	heardW, threshold, interval    time.Duration
	seq                            int64

	due    time.Duration // while armed: it is not lost before this reading of the clock
	armed  uint32        // place in the heap, counted from 1; 0 while it is not there
	self   uint32        // its number in the table
	next   uint32        // another one in the same bucket of the table, or free; 0 for none
	change uint32        // place among the pending changes, counted from 1; 0 for none
	agent  uint16        // number of its agent's version and system; noAgent for unknown

	state, told stateCode
	known       bool // it joined, or was heard, since this fold began
}

// stateCode is a State in one byte.
type stateCode uint8

var codes = [...]State{"", Up, Degraded, Down, Lost}

// codeOf is 0 for what is no state: the next heartbeat, or silence, says what the node is.
func codeOf(s State) stateCode { return stateCode(max(slices.Index(codes[:], s), 0)) }

func (r *record) State() State { return codes[r.state] }
func (r *record) Told() State  { return codes[r.told] }

// undecided reports whether the node is lost with reason deaf: neither told nor forgiven yet.
func (r *record) undecided() bool {
	return r.State() == Lost && r.texts.get(textReason) == ReasonDeaf
}

// newRecord keeps of a node what a fold needs.
func newRecord(n *Node) record {
	return record{
		texts: pack(&[textCount]string{
			textID: n.ID, textName: n.Name, textIP: n.IP, textMeta: n.Meta, textReason: n.Reason,
			textEvidence: n.Evidence, textBoot: n.BootID, textSenders: n.Senders,
		}),
		since: n.Since, incident: n.Incident, joined: n.Joined, heard: n.Heard,
		heardW: n.HeardW, threshold: n.Threshold, interval: n.Interval, seq: n.Seq,
		state: codeOf(n.State), told: codeOf(n.Told),
	}
}

// node is the node as far as the fold knows it.
func (r *record) node() Node {
	t := r.texts.unpack()
	return Node{
		ID: t[textID], Name: t[textName], IP: t[textIP], Meta: t[textMeta], State: r.State(), Reason: t[textReason],
		Evidence: t[textEvidence], Told: r.Told(), Since: r.since, Incident: r.incident, Joined: r.joined,
		Heard: r.heard, HeardW: r.heardW, Threshold: r.threshold, Interval: r.interval, BootID: t[textBoot],
		Seq: r.seq, Senders: t[textSenders],
	}
}

func (r *record) id() string     { return r.texts.get(textID) }
func (r *record) ip() string     { return r.texts.get(textIP) }
func (r *record) boot() string   { return r.texts.get(textBoot) }
func (r *record) memory() string { return r.texts.get(textSenders) }

// set changes a text, and reports whether it was another.
func (r *record) set(field int, text string) bool {
	if r.texts.get(field) == text {
		return false
	}
	all := r.texts.unpack()
	all[field] = text
	r.texts = pack(&all)
	return true
}

// texts are a record's texts in one string, each after its length: eight strings of their own would take twice the room,
// and the garbage collector eight times the looks.
type texts string

// The texts of a record, in their order.
const (
	textID = iota
	textBoot
	textIP
	textMeta
	textReason
	textEvidence
	textName
	textSenders
	textCount
)

func pack(all *[textCount]string) texts {
	size := 0
	for _, s := range all {
		size += len(s) + lengthSize(len(s))
	}
	var b strings.Builder
	b.Grow(size)
	var length [binary.MaxVarintLen64]byte
	for _, s := range all {
		b.Write(binary.AppendUvarint(length[:0], uint64(len(s))))
		b.WriteString(s)
	}
	return texts(b.String())
}

func lengthSize(n int) (size int) {
	for size = 1; n >= 0x80; size++ {
		n >>= 7
	}
	return size
}

// cut takes the first text off. It copies nothing.
func (t texts) cut() (first string, rest texts) {
	length, shift, i := 0, 0, 0
	for ; ; i++ {
		length |= int(t[i]&0x7f) << shift
		if t[i] < 0x80 {
			break
		}
		shift += 7
	}
	end := i + 1 + length
	return string(t[i+1 : end]), t[end:]
}

func (t texts) get(field int) (s string) {
	for range field + 1 {
		s, t = t.cut()
	}
	return s
}

func (t texts) unpack() (all [textCount]string) {
	for i := range all {
		all[i], t = t.cut()
	}
	return all
}
