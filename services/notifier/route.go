package notifier

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// Route sends nodes with all of its labels to its chats.
type Route struct {
	Labels []string // k=v
	Chats  []string
}

// Routes is who hears of which nodes. Every route that matches a node gets it; nodes that none matches are for the
// default chats.
type Routes []Route

// Decode implements envconfig.Decoder: "dc=home -> -100123:7; team=red,gpu=h100 -> @red".
func (r *Routes) Decode(value string) error {
	for part := range strings.SplitSeq(value, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		route, err := parseRoute(part)
		if err != nil {
			return err
		}
		*r = append(*r, route)
	}
	return nil
}

func parseRoute(s string) (r Route, err error) {
	left, right, ok := strings.Cut(s, "->")
	if !ok {
		return r, fmt.Errorf("%q has no ->", strings.TrimSpace(s))
	}
	for label := range strings.SplitSeq(left, ",") {
		label = strings.TrimSpace(label)
		if k, v, ok := strings.Cut(label, "="); !ok || k == "" || v == "" {
			return r, fmt.Errorf("%q is not a label", label)
		}
		r.Labels = append(r.Labels, label)
	}
	for chat := range strings.SplitSeq(right, ",") {
		if chat = strings.TrimSpace(chat); chat == "" {
			continue
		}
		if _, err := telegram.ParseChat(chat); err != nil {
			return r, err
		}
		r.Chats = append(r.Chats, chat)
	}
	if len(r.Chats) == 0 {
		return r, errors.New("a route leads to no chat")
	}
	return r, nil
}

// chats are all that a route leads to.
func (r Routes) chats() (out []string) {
	for _, route := range r {
		out = append(out, route.Chats...)
	}
	return out
}

// audience is what one chat is told.
type audience struct {
	chat       string
	routes     Routes
	def        bool // it is a default chat
	everything bool // it hears of all, whatever the routes say
}

// monitor reports whether the chat hears of monitor events.
func (a audience) monitor() bool { return a.def || a.everything }

// node reports whether the chat hears of a node with this meta.
func (a audience) node(meta string) bool {
	if a.everything || len(a.routes) == 0 {
		return a.monitor()
	}
	of, routed := nodestore.Labels(meta), false
	for _, r := range a.routes {
		if slices.ContainsFunc(r.Labels, func(l string) bool { return !slices.Contains(of, l) }) {
			continue
		}
		if slices.Contains(r.Chats, a.chat) {
			return true
		}
		routed = true
	}
	return a.def && !routed
}
