package bot

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// command is what a person asked for, in a message or by a button.
type command struct {
	update int64
	name   string
	target string // of what follows the name: the node, label or "all"
	span   string // of what follows the name: the last word, where a command wants a time

	where
	message int64 // it stands in, or is under
	by      string
	at      time.Time // of the message

	pressed      string // id of a button that was pressed, "" for none
	notification int64  // that the button is under
}

// where a message came from.
type where struct {
	chat   string // its number
	handle string // "@name" of a public group, "" for none
	thread int64  // 0 for none
}

// topic is where an answer goes.
func (w where) topic() string {
	c := telegram.Chat{ID: w.chat, Topic: w.thread}
	return c.String()
}

// commands are those that there are; the value says whether a time follows.
var commands = map[string]bool{
	"start": false, "help": false, "status": false, "down": false, "node": false, "silence": true, "unsilence": false,
}

// Data of the buttons, before the number of the notification.
const (
	dataAcknowledge = "a:"
	dataSilence     = "s:"
)

// parse reads an update. It is no command of ours when it is for another bot, is no command that there is, or is
// neither a message nor a button. botName is without "@".
func parse(u telegram.Update, botName string) (command, bool) {
	switch {
	case u.Pressed != nil:
		return parsePressed(u.ID, *u.Pressed)
	case u.Message != nil:
		return parseMessage(u.ID, *u.Message, botName)
	}
	return command{}, false
}

func parseMessage(update int64, m telegram.Incoming, botName string) (command, bool) {
	words := strings.Fields(m.Text)
	if len(words) == 0 || !strings.HasPrefix(words[0], "/") {
		return command{}, false
	}
	name, addressee, addressed := strings.Cut(strings.ToLower(words[0][1:]), "@")
	timed, known := commands[name]
	if addressed && addressee != strings.ToLower(botName) || !known {
		return command{}, false
	}
	c := command{
		update: update, name: name, where: whereOf(m), message: m.ID, by: nameOf(m.From), at: time.Unix(m.Date, 0),
	}
	rest := words[1:]
	if n := len(rest); timed && n > 1 {
		rest, c.span = rest[:n-1], rest[n-1]
	}
	c.target = strings.Join(rest, " ")
	return c, true
}

func parsePressed(update int64, p telegram.Pressed) (command, bool) {
	if p.Message == nil {
		return command{}, false
	}
	for data, name := range map[string]string{dataAcknowledge: "acknowledge", dataSilence: "hush"} {
		number, found := strings.CutPrefix(p.Data, data)
		id, err := strconv.ParseInt(number, 10, 64)
		if !found || err != nil {
			continue
		}
		return command{
			update: update, name: name, where: whereOf(*p.Message), message: p.Message.ID, by: nameOf(p.From),
			pressed: p.ID, notification: id,
		}, true
	}
	return command{}, false
}

func whereOf(m telegram.Incoming) where {
	w := where{chat: strconv.FormatInt(m.Chat.ID, 10)}
	if m.Topic {
		w.thread = m.Thread
	}
	if m.Chat.Username != "" && m.Chat.Type != "private" {
		w.handle = "@" + m.Chat.Username
	}
	return w
}

func nameOf(u telegram.User) string {
	if u.Username != "" {
		return "@" + u.Username
	}
	return cmp.Or(strings.Join(strings.Fields(u.Name), " "), strconv.FormatInt(u.ID, 10))
}

// spanUnits are those of a silence's time, in both languages.
var spanUnits = map[string]time.Duration{
	"m": time.Minute, "min": time.Minute, "м": time.Minute, "мин": time.Minute,
	"h": time.Hour, "ч": time.Hour,
	"d": 24 * time.Hour, "д": 24 * time.Hour,
}

// Limits of a silence.
const (
	leastSpan = time.Minute
	mostSpan  = 31 * 24 * time.Hour
)

// parseSpan reads a time such as 30m, 2h, 1d or 1d12h.
func parseSpan(s string) (time.Duration, bool) {
	var total time.Duration
	for s = strings.ToLower(s); s != ""; {
		digits := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
		if digits <= 0 {
			return 0, false
		}
		n, err := strconv.Atoi(s[:digits])
		s = s[digits:]
		end := strings.IndexFunc(s, func(r rune) bool { return r >= '0' && r <= '9' })
		if end < 0 {
			end = len(s)
		}
		unit, known := spanUnits[s[:end]]
		if err != nil || !known || n > int(mostSpan/time.Minute) {
			return 0, false
		}
		total += time.Duration(n) * unit
		s = s[end:]
	}
	return total, total >= leastSpan && total <= mostSpan
}

// allowed reports whether a chat is one of those configured, whatever their topics.
func (w where) allowed(chats []string) bool {
	return slices.ContainsFunc(chats, func(name string) bool {
		c, err := telegram.ParseChat(name)
		return err == nil && (c.ID == w.chat || w.handle != "" && strings.EqualFold(c.ID, w.handle))
	})
}
