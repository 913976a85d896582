package notifier

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/bot"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// newBot makes the part that takes commands. It shows values as notifications do.
func newBot(o Options) (*bot.Service, error) {
	c := catalogueOf(o.Language)
	return bot.New(bot.Options{
		ID: o.ID, Store: o.BotStore, Client: o.Bot, Chats: commandable(o.Chats), Language: string(o.Language), Page: o.PublicURL,
		Format: bot.Format{
			Duration: c.duration,
			Moment:   func(t time.Time) string { return c.moment(t, o.Location) },
			Reason:   c.reasonWords,
			Code:     new(page).code,
			Covers:   silenceCovers,
		},
		Log: o.Log.With().Str("what", "commands").Logger(), Now: o.Now,
	})
}

// silenceCovers reports whether a silence is about a node.
func silenceCovers(s nodestore.Silence, nodeID, meta string) bool {
	switch s.Scope {
	case nodestore.ScopeAll:
		return true
	case nodestore.ScopeNode:
		return s.Value == nodeID
	case nodestore.ScopeLabel:
		k, v, _ := strings.Cut(s.Value, "=")
		have, ok := hookLabels(meta)[k]
		return ok && have == v
	}
	return false
}

// buttonSender is a sender that can put buttons under a message.
type buttonSender interface {
	SendMessage(ctx context.Context, m telegram.Message) (int64, error)
}

// mover is a sender that finds out where chats went, and can be told.
type mover interface {
	MovedTo(chat string) string
	SetMoved(chat, to string)
}

// deliver sends a frozen notification: a failure of one node with buttons when people may press them, to where the
// chat went when Telegram has moved it. Where it went is noted in the store, so that nobody has to find out again.
func (t *teller) deliver(ctx context.Context, n nodestore.Notification) (id int64, err error) {
	moves, _ := t.o.Sender.(mover)
	if moves != nil && t.lease.MovedTo != "" {
		moves.SetMoved(n.Chat, t.lease.MovedTo)
	}
	if s, ok := t.o.Sender.(buttonSender); ok && t.o.Bot != nil && n.NodeID != "" {
		id, err = s.SendMessage(ctx, telegram.Message{
			Chat: n.Chat, HTML: n.Text, ReplyTo: n.ReplyTo, Buttons: bot.Buttons(string(t.o.Language), n.ID),
		})
	} else {
		id, err = t.o.Sender.Send(ctx, n.Chat, n.Text, n.ReplyTo)
	}
	if err != nil || moves == nil {
		return id, err
	}
	if to := moves.MovedTo(n.Chat); to != "" && to != t.lease.MovedTo {
		// The message was accepted; that this cannot be noted must not make it be sent again.
		if err := t.o.Store.MoveChat(ctx, t.lease, to); err == nil {
			t.lease.MovedTo = to
		}
	}
	return id, nil
}

// commandable are the chats that commands are taken from.
func commandable(chats []string) []string {
	return slices.DeleteFunc(slices.Clone(chats), func(name string) bool {
		_, err := telegram.ParseChat(name)
		return err != nil
	})
}
