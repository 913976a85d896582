package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// look is how one viewer wants to see the table.
type look struct {
	filter
	order string // one of orders, "" for the first
	after string // the place of the last row of the page before, "" for the first page
}

// orders of the table, by their names in addresses; "" is what does not work first.
var orders = []string{"", "id", "since", "heard"}

// lookOf reads the parameters. What it does not understand it leaves out: people mend their address line by hand.
func lookOf(r *http.Request) look {
	var l look
	v := r.URL.Query()
	if search := []rune(strings.ToValidUTF8(strings.TrimSpace(v.Get("q")), "")); len(search) <= maxSearch {
		l.search = string(search)
	}
	if state := node.State(v.Get("state")); slices.Contains(states, state) {
		l.states = []node.State{state}
	}
	if order := v.Get("sort"); slices.Contains(orders, order) {
		l.order = order
	}
	if after := v.Get("after"); len(after) <= maxAfter {
		l.after = strings.ToValidUTF8(after, "")
	}
	return l
}

// maxAfter bounds the place of a row, in bytes.
const maxAfter = 1000

func (l look) state() string {
	if len(l.states) == 0 {
		return ""
	}
	return string(l.states[0])
}

// link is the address of the table as another look has it, relative to it: the page may stand below a path.
func (l look) link() string {
	v := make(url.Values)
	for name, value := range map[string]string{"state": l.state(), "q": l.search, "sort": l.order, "after": l.after} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if len(v) == 0 {
		return "./"
	}
	return "?" + v.Encode()
}

// withState is the look at one state alone, from its first page on.
func (l look) withState(state node.State) look {
	l.after, l.states = "", nil
	if state != "" {
		l.states = []node.State{state}
	}
	return l
}

func (l look) withOrder(order string) look {
	l.after, l.order = "", order
	return l
}

func (l look) withAfter(after string) look {
	l.after = after
	return l
}

// key is all that the table depends on.
func (l look) key() string {
	return strings.Join([]string{l.state(), l.order, l.after, l.search}, "\x00")
}
