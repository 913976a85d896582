package web

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

const (
	// logChat is the name of the notifier's chat that is its log: it tells nobody.
	logChat = "log"
	// untold is how long an alert may wait before the page speaks of it: sending takes a moment, and is paced.
	untold = time.Minute
)

// banner is a line above the table about the monitor itself.
type banner struct {
	Grave bool // the table may be untrue, or nobody is told; else it is good to know
	Text  string
}

// banners says what is wrong with the monitor.
func (s *standing) banners(w *words) []banner {
	here := s.at.Add(-s.skew)
	if s.status.Term == 0 {
		return append([]banner{{true, w.Never}}, telling(w, s.status.Chats, here)...)
	}
	var all []banner
	if age := s.committedAge(s.at); age > staleCommit {
		all = append(all, banner{true, w.stale(w.span(age))})
	} else if age := s.behind(s.at); age > staleStamp {
		all = append(all, banner{true, w.behind(w.span(age))})
	}
	c := s.status.Clock
	if c.Deaf {
		all = append(all, banner{true, w.deaf(clock(c.Accepted.Time()), refused(c.Refused))})
	}
	if c.Overflow > 0 {
		all = append(all, banner{false, w.overflow(c.Overflow)})
	}
	return append(all, telling(w, s.status.Chats, here)...)
}

// telling says why people may not be told.
func telling(w *words, chats []nodestore.ChatStatus, now time.Time) []banner {
	var active, logging, known bool
	var all []banner
	for _, c := range chats {
		if c.Chat == logChat {
			logging = logging || c.Active
			continue
		}
		known = true
		if !c.Active {
			continue
		}
		active = true
		all = append(all, chatBanners(w, c, now)...)
	}
	switch {
	case active:
		return all
	case known && !logging:
		return []banner{{true, w.NoNotifier}}
	default:
		return []banner{{false, w.NotSetUp}}
	}
}

// chatBanners says how telling one chat fails.
func chatBanners(w *words, c nodestore.ChatStatus, now time.Time) []banner {
	var text []string
	if c.LastError != "" {
		text = append(text, w.failing(shorten(c.Chat), strings.TrimRight(c.LastError, ". ")+"."))
	}
	if !c.Oldest.IsZero() && (c.LastError != "" || now.Sub(c.Oldest) > untold) {
		text = append(text, w.waiting(c.Waiting, w.span(now.Sub(c.Oldest))))
	}
	if text == nil {
		return nil
	}
	return []banner{{true, strings.Join(text, " ")}}
}

// shorten lets an operator tell chats apart, and nobody else write to them.
func shorten(chat string) string {
	r := []rune(chat)
	if len(r) <= 4 {
		return chat
	}
	return "…" + string(r[len(r)-4:])
}

// refused writes counts by status as "412 × 401, 3 × 413".
func refused(counts map[string]int) string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d × %s", counts[status], status))
	}
	return strings.Join(parts, ", ")
}

// clock is a time for people, with its zone.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
