package telegram

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
)

// Message is a message to send.
type Message struct {
	Chat    string     // "chat" or "chat:topic"
	HTML    string     // in Telegram's HTML parse mode
	ReplyTo int64      // the id of the message that it answers, 0 for none
	Buttons [][]Button // rows of them, under the message
}

// Button is one under a message. When it is pressed, its data come back as an Update.
type Button struct {
	Text string `json:"text"`
	Data string `json:"callback_data"` // 1 to 64 bytes
}

// MaxButtonData is how many bytes a button's data may have.
const MaxButtonData = 64

type outgoing struct {
	ChatID      any          `json:"chat_id"` // a number, or "@name"
	ThreadID    int64        `json:"message_thread_id,omitempty"`
	Text        string       `json:"text"`
	ParseMode   string       `json:"parse_mode,omitempty"`
	LinkPreview linkPreview  `json:"link_preview_options"`
	Reply       *replyParams `json:"reply_parameters,omitempty"`
	Markup      *markup      `json:"reply_markup,omitempty"`
}

type linkPreview struct {
	IsDisabled bool `json:"is_disabled"`
}

type replyParams struct {
	MessageID  int64 `json:"message_id"`
	AllowAlone bool  `json:"allow_sending_without_reply"`
}

type markup struct {
	Keyboard [][]Button `json:"inline_keyboard"`
}

// Send sends a message without buttons; see SendMessage.
func (c *Client) Send(ctx context.Context, chat, html string, replyTo int64) (int64, error) {
	return c.SendMessage(ctx, Message{Chat: chat, HTML: html, ReplyTo: replyTo})
}

// SendMessage sends one message and returns the id that Telegram gave it. A group that became a supergroup is
// followed at once; MovedTo says so. A message that Telegram cannot read is sent as plain text, so that it cannot
// hold up those behind it. No message leaves after ctx is over.
func (c *Client) SendMessage(ctx context.Context, message Message) (int64, error) {
	to, err := ParseChat(message.Chat)
	if err != nil {
		return 0, refusal(Malformed, err.Error())
	}
	m := outgoing{
		ChatID: c.current(to.ID), ThreadID: to.Topic, Text: message.HTML, ParseMode: "HTML",
		LinkPreview: linkPreview{IsDisabled: true},
	}
	if message.ReplyTo != 0 {
		m.Reply = &replyParams{MessageID: message.ReplyTo, AllowAlone: true}
	}
	if len(message.Buttons) > 0 {
		m.Markup = &markup{Keyboard: message.Buttons}
	}
	for {
		raw, err := c.call(ctx, "sendMessage", m, message.Chat, c.timeout)
		if err == nil {
			return messageID(raw), nil
		}
		if !c.amend(&m, to, err) {
			return 0, err
		}
	}
}

// messageID of a result; 0 when it cannot be read, which must not make the message be sent again.
func messageID(raw json.RawMessage) int64 {
	var sent struct {
		MessageID int64 `json:"message_id"`
	}
	_ = json.Unmarshal(raw, &sent)
	return sent.MessageID
}

// amend changes a message that was refused for a reason which can be mended at once. Each change is made only once.
func (c *Client) amend(m *outgoing, to Chat, err *Error) bool {
	switch {
	case err.MigrateTo != 0 && m.ChatID != err.MigrateTo:
		c.log.Warn().Str("chat", to.ID).Int64("new_chat", err.MigrateTo).
			Msg("the group became a supergroup: put its new id into TELEGRAM_CHAT_ID")
		c.mu.Lock()
		c.moved[to.ID] = err.MigrateTo
		c.mu.Unlock()
		m.ChatID = err.MigrateTo
		m.Reply = nil // the new group counts its messages from 1: this id may be another one's there
	case err.aboutReply && m.Reply != nil:
		m.Reply = nil
	case err.aboutMessage && m.ParseMode != "":
		c.log.Warn().Str("chat", to.ID).Str("error", err.Words).Msg("Telegram cannot read the message: sent as plain text")
		m.Text, m.ParseMode = clip(PlainText(m.Text), MaxUnits), ""
	default:
		return false
	}
	return true
}

// MovedTo is the chat, with its topic, that a chat was found to have become when something was sent to it; "" for none.
// Whoever keeps it spares Telegram a refused call after each start.
func (c *Client) MovedTo(chat string) string {
	of, err := ParseChat(chat)
	if err != nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ok := c.moved[of.ID]
	if !ok {
		return ""
	}
	of.ID = strconv.FormatInt(id, 10)
	return of.String()
}

// current is the chat's id as Telegram knows it now.
func (c *Client) current(id string) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	if moved, ok := c.moved[id]; ok {
		return moved
	}
	if strings.HasPrefix(id, "@") {
		return id
	}
	return json.Number(id)
}
