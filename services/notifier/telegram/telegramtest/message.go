package telegramtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
)

const maxUnits = 4096

// readMessage reads the parameters of sendMessage from JSON, a form or a multipart form, as the Bot API does.
func readMessage(r *http.Request) (Message, error) {
	params, err := readParams(r)
	if err != nil {
		return Message{}, err
	}
	m := Message{Chat: params["chat_id"], Text: params["text"], ParseMode: params["parse_mode"]}
	m.Thread, _ = strconv.ParseInt(params["message_thread_id"], 10, 64)
	var preview struct {
		IsDisabled bool `json:"is_disabled"`
	}
	var reply struct {
		MessageID int64 `json:"message_id"`
		Alone     bool  `json:"allow_sending_without_reply"`
	}
	for name, into := range map[string]any{"link_preview_options": &preview, "reply_parameters": &reply} {
		if v := params[name]; v != "" {
			if err := json.Unmarshal([]byte(v), into); err != nil {
				return Message{}, fmt.Errorf("Bad Request: can't parse %s JSON object", name)
			}
		}
	}
	m.NoPreview, m.ReplyTo, m.strictReply = preview.IsDisabled, reply.MessageID, !reply.Alone
	if m.Buttons, err = readButtons(params["reply_markup"]); err != nil {
		return Message{}, err
	}
	if m.Chat == "" {
		return Message{}, errors.New("Bad Request: chat_id is empty")
	}
	return m, nil
}

// readButtons reads an inline keyboard as Telegram does.
func readButtons(markup string) ([][]Button, error) {
	if markup == "" {
		return nil, nil
	}
	var keyboard struct {
		Rows [][]Button `json:"inline_keyboard"`
	}
	if err := json.Unmarshal([]byte(markup), &keyboard); err != nil {
		return nil, errors.New("Bad Request: can't parse reply keyboard markup JSON object")
	}
	for _, row := range keyboard.Rows {
		for _, b := range row {
			switch {
			case b.Text == "":
				return nil, errors.New("Bad Request: can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
			case b.Data == "" && b.URL == "":
				return nil, errors.New("Bad Request: can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
			case len(b.Data) > 64:
				return nil, errors.New("Bad Request: BUTTON_DATA_INVALID")
			}
		}
	}
	return keyboard.Rows, nil
}

// readParams gives every parameter as a text; objects as JSON.
func readParams(r *http.Request) (map[string]string, error) {
	out := make(map[string]string)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/json" {
		if err := r.ParseMultipartForm(1 << 20); err != nil && !errors.Is(err, http.ErrNotMultipart) {
			return nil, fmt.Errorf("Bad Request: %w", err)
		}
		for k := range r.Form {
			out[k] = r.Form.Get(k)
		}
		return out, nil
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("Bad Request: %w", err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, errors.New("Bad Request: can't parse JSON object")
	}
	for k, v := range raw {
		var text string
		if json.Unmarshal(v, &text) != nil {
			text = string(v)
		}
		out[k] = text
	}
	return out, nil
}

// check parses the text as Telegram does and says why it is refused.
func (m *Message) check() error {
	m.Plain = m.Text
	if strings.EqualFold(m.ParseMode, "HTML") {
		plain, err := parse(m.Text)
		if err != nil {
			return fmt.Errorf("Bad Request: can't parse entities: %w", err)
		}
		m.Plain = plain
	} else if m.ParseMode != "" {
		return errors.New("Bad Request: unsupported parse_mode")
	}
	switch {
	case strings.TrimSpace(m.Plain) == "":
		return errors.New("Bad Request: message text is empty")
	case len(utf16.Encode([]rune(m.Plain))) > maxUnits:
		return errors.New("Bad Request: message is too long")
	}
	return nil
}

// tags are those of the HTML parse mode.
var tags = map[string]bool{
	"b": true, "strong": true, "i": true, "em": true, "u": true, "ins": true, "s": true, "strike": true, "del": true,
	"span": true, "tg-spoiler": true, "tg-emoji": true, "a": true, "code": true, "pre": true, "blockquote": true,
}

// parse checks that every tag is known and closed in order, and returns the text without them.
func parse(text string) (string, error) {
	var plain strings.Builder
	var open []string
	for at := 0; at < len(text); {
		next := strings.IndexByte(text[at:], '<')
		if next < 0 {
			plain.WriteString(text[at:])
			break
		}
		plain.WriteString(text[at : at+next])
		at += next
		end := strings.IndexByte(text[at:], '>')
		if end < 0 {
			return "", fmt.Errorf("Unclosed start tag at byte offset %d", at)
		}
		tag := text[at+1 : at+end]
		var err error
		if open, err = step(open, tag, at); err != nil {
			return "", err
		}
		at += end + 1
	}
	if n := len(open); n > 0 {
		return "", fmt.Errorf("Can't find end tag corresponding to start tag %q", open[n-1])
	}
	return resolve(plain.String()), nil
}

func step(open []string, tag string, at int) ([]string, error) {
	if name, ok := strings.CutPrefix(tag, "/"); ok {
		n := len(open)
		switch {
		case n == 0:
			return nil, fmt.Errorf("Unexpected end tag at byte offset %d", at)
		case open[n-1] != strings.ToLower(strings.TrimSpace(name)):
			return nil, fmt.Errorf("Unmatched end tag at byte offset %d, expected %q, found %q", at, "</"+open[n-1]+">", "<"+tag+">")
		}
		return open[:n-1], nil
	}
	name, _, _ := strings.Cut(tag, " ")
	name = strings.ToLower(name)
	if !tags[name] {
		return nil, fmt.Errorf("Unsupported start tag %q at byte offset %d", name, at)
	}
	return append(open, name), nil
}

// entity is what Telegram resolves: four names, and numbers.
var entity = regexp.MustCompile(`&(lt|gt|amp|quot|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});`)

func resolve(text string) string {
	named := map[string]string{"lt": "<", "gt": ">", "amp": "&", "quot": `"`}
	return entity.ReplaceAllStringFunc(text, func(e string) string {
		name := e[1 : len(e)-1]
		if s, ok := named[name]; ok {
			return s
		}
		digits, base := name[1:], 10
		if digits[0] == 'x' {
			digits, base = digits[1:], 16
		}
		n, err := strconv.ParseInt(digits, base, 32)
		if err != nil || n == 0 {
			return e
		}
		return string(rune(n))
	})
}
