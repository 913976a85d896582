package notifier

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// movable is a Sender whose chat becomes another.
type movable struct {
	*script
	to atomic.Value
}

func (m *movable) MovedTo(chat string) string {
	if to, ok := m.to.Load().(string); ok && to != chat {
		return to
	}
	return ""
}

func (m *movable) SendFailure(ctx context.Context, n nodestore.Notification) (int64, error) {
	return m.Send(ctx, n.Chat, fmt.Sprint("[", n.NodeID, n.Incident != 0, "]", n.Text), n.ReplyTo)
}

func TestAChatThatMovedIsToldThere(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, "", name(0), name(1))
		sender := &movable{script: newScript(nil)}
		a := w.run(t, "a", sender, nil)
		w.set(t, node.Down, "no_screen", name(0))
		time.Sleep(5 * time.Second)
		sender.to.Store("-100555")
		w.set(t, node.Up, "", name(0))
		time.Sleep(5 * time.Second)
		w.set(t, node.Down, "no_screen", name(0), name(1))
		time.Sleep(5 * time.Second)
		a.stop()
		w.run(t, "b", sender, nil)
		w.set(t, node.Up, "", name(0))
		time.Sleep(5 * time.Second)
		var chats []string
		for _, m := range sender.all() {
			chats = append(chats, m.chat)
		}
		if got, want := strings.Join(chats, " "), "1 1 -100555 -100555"; got != want {
			t.Errorf("sent to %s, want %s", got, want)
		}
		for i, m := range sender.all() {
			if got, want := strings.HasPrefix(m.html, "["+name(0)+"true]"), i == 0; got != want {
				t.Errorf("message %d is one node's failure: %v\n%s", i, got, m.html)
			}
		}
	})
}

// People put the group's new id into the configuration, in place of the old one or beside it: nothing is told twice or
// missed, and a recovery answers its failure where that was told in the new group.
func TestTheNewIDOfAChatThatMoved(t *testing.T) {
	for which, chats := range map[string][]string{"in place of the old": {"-100555"}, "beside the old": {"1", "-100555"}} {
		t.Run(which, func(t *testing.T) {
			inWorlds(t, func(t *testing.T, w *world) {
				w.add(t, "", names(0, 3)...)
				sender := &movable{script: newScript(nil)}
				sender.to.Store("-100555")
				a := w.run(t, "a", sender, nil)
				w.set(t, node.Down, "no_screen", name(0))
				time.Sleep(5 * time.Second) // the sender finds the group elsewhere
				w.set(t, node.Down, "no_screen", name(1))
				time.Sleep(5 * time.Second)
				w.silence(t, nodestore.ScopeNode, name(1), time.Hour)
				w.set(t, node.Up, "", name(1))
				time.Sleep(5 * time.Second)
				a.stop()
				before := len(sender.all())
				w.run(t, "b", sender, func(o *Options) { o.Chats = chats })
				time.Sleep(time.Minute)
				wantTexts(t, sender.all()[before:])
				w.set(t, node.Down, "no_screen", name(2))
				time.Sleep(2 * time.Hour)
				told := sender.all()[before:]
				wantTexts(t, told, []string{"node DOWN", name(2)}, []string{"node UP", name(1)})
				if len(told) == 2 && (told[0].chat != "-100555" || told[1].chat != "-100555" || told[1].replyTo != 2) {
					t.Errorf("told in %s and %s, answering %d", told[0].chat, told[1].chat, told[1].replyTo)
				}
				s, err := w.store.Status(t.Context(), 0)
				if err != nil {
					t.Fatal(err)
				}
				if len(s.Chats) != 1 || s.Chats[0].Chat != "-100555" || s.Chats[0].Waiting != 0 {
					t.Errorf("chats: %+v", s.Chats)
				}
			})
		})
	}
}
