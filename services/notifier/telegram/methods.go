package telegram

import (
	"context"
	"encoding/json"
	"time"
)

// User is a person or a bot.
type User struct {
	ID       int64  `json:"id"`
	Username string `json:"username"` // without "@", "" for none
	Name     string `json:"first_name"`
}

// ChatInfo is what Telegram says of a chat that the bot can see.
type ChatInfo struct {
	ID       int64  `json:"id"`
	Type     string `json:"type"` // private, group, supergroup or channel
	Title    string `json:"title"`
	Username string `json:"username"`
	Name     string `json:"first_name"` // of a private chat's person
}

// Update is something that happened to the bot: a message, or a button that was pressed. Others are empty.
type Update struct {
	ID      int64     `json:"update_id"`
	Message *Incoming `json:"message"`
	Pressed *Pressed  `json:"callback_query"`
}

// Incoming is a message in a chat that the bot is in.
type Incoming struct {
	ID     int64    `json:"message_id"`
	Thread int64    `json:"message_thread_id"` // of a topic, or of the message that it answers; 0 for none
	Topic  bool     `json:"is_topic_message"`  // Thread is a topic
	Date   int64    `json:"date"`              // Unix seconds
	Chat   ChatInfo `json:"chat"`
	From   User     `json:"from"`
	Text   string   `json:"text"`
}

// Pressed is a button that was pressed.
type Pressed struct {
	ID      string    `json:"id"` // for Answer
	From    User      `json:"from"`
	Message *Incoming `json:"message"` // that the button is under; nil when it is too old
	Data    string    `json:"data"`
}

// Me is the bot itself. It is how a token is checked.
func (c *Client) Me(ctx context.Context) (User, error) {
	return ask[User](ctx, c, "getMe", struct{}{}, "", c.timeout)
}

// Chat asks about "chat" or "chat:topic", of which the topic is not looked at.
func (c *Client) Chat(ctx context.Context, chat string) (ChatInfo, error) {
	of, err := ParseChat(chat)
	if err != nil {
		return ChatInfo{}, refusal(Malformed, err.Error())
	}
	return ask[ChatInfo](ctx, c, "getChat", map[string]any{"chat_id": c.current(of.ID)}, chat, c.timeout)
}

// Updates waits up to the given time, whole seconds, for updates from the offset on, and forgets all before it. A
// Conflict means that another program asks, too.
func (c *Client) Updates(ctx context.Context, offset int64, wait time.Duration) ([]Update, error) {
	raw, err := ask[[]json.RawMessage](ctx, c, "getUpdates", map[string]any{
		"offset": offset, "timeout": int(wait / time.Second), "allowed_updates": []string{"message", "callback_query"},
	}, "", wait+c.timeout)
	if err != nil {
		return nil, err
	}
	updates := make([]Update, 0, len(raw))
	for _, r := range raw {
		var u Update
		if json.Unmarshal(r, &u) != nil {
			// One that cannot be read must not hold up those behind it, nor come again for ever.
			var only struct {
				ID int64 `json:"update_id"`
			}
			_ = json.Unmarshal(r, &only)
			u = Update{ID: only.ID}
		}
		updates = append(updates, u)
	}
	return updates, nil
}

// Answer ends the waiting of the person who pressed a button; text, if any, is shown to them for a moment.
func (c *Client) Answer(ctx context.Context, pressed, text string) error {
	_, err := c.call(ctx, "answerCallbackQuery", map[string]any{"callback_query_id": pressed, "text": text}, "", c.timeout)
	return plain(err)
}

// EditButtons puts other buttons under a message. That they are there already is no error.
func (c *Client) EditButtons(ctx context.Context, chat string, message int64, buttons [][]Button) error {
	of, err := ParseChat(chat)
	if err != nil {
		return refusal(Malformed, err.Error())
	}
	if buttons == nil {
		buttons = [][]Button{}
	}
	_, failure := c.call(ctx, "editMessageReplyMarkup", map[string]any{
		"chat_id": c.current(of.ID), "message_id": message, "reply_markup": markup{Keyboard: buttons},
	}, chat, c.timeout)
	if failure != nil && failure.unchanged {
		return nil
	}
	return plain(failure)
}

// plain is an *Error as an error that can be compared with nil.
func plain(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}
