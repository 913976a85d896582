package telegramtest

import (
	"net/http"
	"strconv"
	"strings"
)

func (s *Server) getMe(w http.ResponseWriter, _ *http.Request) {
	writeResult(w, map[string]any{"id": 123456, "is_bot": true, "first_name": "Fake", "username": BotName})
}

// getChat shows a chat that the bot is in. What Always says of a chat is its answer here, too.
func (s *Server) getChat(w http.ResponseWriter, r *http.Request) {
	params, err := readParams(r)
	if err != nil {
		write(w, BadRequest(err.Error()))
		return
	}
	chat := params["chat_id"]
	s.mu.Lock()
	a, refused := s.always[chat]
	known := s.known == nil || s.known[chat]
	s.mu.Unlock()
	switch {
	case refused && a != OK():
		s.fail(w, r, a)
	case !known:
		write(w, BadRequest(ChatNotFound))
	default:
		writeResult(w, chatInfo(chat))
	}
}

// chatInfo is a chat as Telegram shows it.
func chatInfo(chat string) map[string]any {
	info := map[string]any{"id": chatNumber(chat), "type": "private", "first_name": "Person " + chat}
	switch {
	case strings.HasPrefix(chat, "@"):
		info = map[string]any{"id": int64(-1001), "type": "supergroup", "title": "Group " + chat, "username": chat[1:]}
	case strings.HasPrefix(chat, "-100"):
		info = map[string]any{"id": chatNumber(chat), "type": "supergroup", "title": "Group " + chat}
	case strings.HasPrefix(chat, "-"):
		info = map[string]any{"id": chatNumber(chat), "type": "group", "title": "Group " + chat}
	}
	return info
}

func chatNumber(chat string) int64 {
	n, err := strconv.ParseInt(chat, 10, 64)
	if err != nil {
		return -1
	}
	return n
}
