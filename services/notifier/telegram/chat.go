package telegram

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Chat is where a message goes: a person, a group, a channel, or a topic of a group.
type Chat struct {
	ID    string // a number, or "@name" of a public group or channel
	Topic int64  // message_thread_id; 0 for none
}

var chatForm = regexp.MustCompile(`^(-?[1-9][0-9]{0,18}|@[A-Za-z][A-Za-z0-9_]{3,})(?::([1-9][0-9]{0,9}))?$`)

// ParseChat reads "chat" or "chat:topic".
func ParseChat(s string) (Chat, error) {
	m := chatForm.FindStringSubmatch(s)
	if m == nil {
		return Chat{}, fmt.Errorf("%q is not a chat: a chat is its number or @name, with :topic for a topic", s)
	}
	c := Chat{ID: m[1]}
	if !strings.HasPrefix(c.ID, "@") {
		if _, err := strconv.ParseInt(c.ID, 10, 64); err != nil {
			return Chat{}, fmt.Errorf("%q is not a chat: its number is too large", s)
		}
	}
	if m[2] != "" {
		topic, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil {
			return Chat{}, fmt.Errorf("%q is not a chat: %w", s, err)
		}
		c.Topic = topic
	}
	return c, nil
}

// String is the chat as ParseChat reads it.
func (c Chat) String() string {
	if c.Topic == 0 {
		return c.ID
	}
	return c.ID + ":" + strconv.FormatInt(c.Topic, 10)
}
