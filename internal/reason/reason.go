// Package reason puts the codes for why a node is not up into words.
package reason

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// Words says what a reason code means in a language, "en" or "ru"; "" for a code that is not known.
func Words(language, code string) string {
	words, port := english, "port %d is closed"
	if language == "ru" {
		words, port = russian, "порт %d закрыт"
	}
	if text, ok := words[code]; ok {
		return text
	}
	number, ok := strings.CutPrefix(code, "port_closed_")
	if n, err := strconv.ParseUint(number, 10, 16); ok && err == nil && strconv.FormatUint(n, 10) == number {
		return fmt.Sprintf(port, n)
	}
	return ""
}

var english = map[string]string{
	node.ReasonSilent:        "nothing is heard from it",
	node.ReasonDeaf:          "nothing is heard from anybody",
	node.ReasonReported:      "its agent says so",
	node.ReasonUnknownStatus: "its agent sent a status that the monitor does not know",

	// Agents of all ages.
	"no_screen":               "no screen session",
	"no_process":              "the process is not running",
	"port_closed":             "the port is closed",
	"no_screen_no_proc":       "no screen session and no process",
	"no_p2pd":                 "p2pd is not running",
	"stale_log":               "the log has stopped growing",
	"empty_screen_no_runtime": "the screen session is empty, nothing runs in it",

	// Phases of RL-Swarm.
	"starting":      "it is starting",
	"start_overdue": "it has been starting for too long",
	"login_needed":  "somebody must log in",
	"prompt":        "it waits for an answer at its prompt",
	"running":       "it is running",
	"training":      "it is training",
	"waiting":       "it waits for the next round",
	"stalled":       "no new round for too long",
	"trouble":       "its log shows trouble",
	"crashed":       "it has crashed",

	// What its log shows.
	"p2p_failed":        "it cannot reach its peers",
	"identity_taken":    "another peer uses its identity",
	"dht_race":          "it failed to start: several processes started at once",
	"out_of_memory":     "out of memory",
	"bad_numbers":       "its numbers became invalid",
	"chain_unreachable": "the chain cannot be reached",
	"game_crashed":      "the game ended with an error",
	"script_ended":      "the start script has ended",
	"not_earning":       "its rounds are not submitted",

	// Probes of the generic profile.
	"no_tmux":             "no tmux session",
	"no_container":        "no such container",
	"container_down":      "the container is not running",
	"container_unhealthy": "the container is unhealthy",
	"unit_down":           "the systemd unit is not active",
	"http_failed":         "no answer over HTTP",
	"http_status":         "wrong status over HTTP",
	"http_text":           "wrong text over HTTP",
	"command_failed":      "the check command failed",
	"command_timeout":     "the check command took too long",
	"probe_unseen":        "the agent has no permission to look",
	"probe_unsupported":   "the agent cannot look on this system",
}

var russian = map[string]string{
	node.ReasonSilent:        "от него ничего не слышно",
	node.ReasonDeaf:          "ни от кого ничего не слышно",
	node.ReasonReported:      "так сообщил агент",
	node.ReasonUnknownStatus: "агент прислал статус, которого монитор не знает",

	"no_screen":               "нет сессии screen",
	"no_process":              "процесс не запущен",
	"port_closed":             "порт закрыт",
	"no_screen_no_proc":       "нет ни сессии screen, ни процесса",
	"no_p2pd":                 "p2pd не запущен",
	"stale_log":               "журнал перестал расти",
	"empty_screen_no_runtime": "сессия screen пуста, в ней ничего не запущено",

	"starting":      "запускается",
	"start_overdue": "запускается слишком долго",
	"login_needed":  "нужно войти в аккаунт",
	"prompt":        "ждёт ответа на вопрос в консоли",
	"running":       "работает",
	"training":      "обучается",
	"waiting":       "ждёт следующего раунда",
	"stalled":       "слишком долго нет нового раунда",
	"trouble":       "в журнале видны неполадки",
	"crashed":       "упал",

	"p2p_failed":        "не может связаться с другими узлами сети",
	"identity_taken":    "его ключом пользуется другой узел",
	"dht_race":          "не запустился: несколько процессов стартовали разом",
	"out_of_memory":     "не хватило памяти",
	"bad_numbers":       "в вычислениях появились недопустимые числа",
	"chain_unreachable": "блокчейн недоступен",
	"game_crashed":      "игра завершилась с ошибкой",
	"script_ended":      "скрипт запуска завершился",
	"not_earning":       "раунды не отправляются",

	"no_tmux":             "нет сессии tmux",
	"no_container":        "нет такого контейнера",
	"container_down":      "контейнер не запущен",
	"container_unhealthy": "контейнер неисправен",
	"unit_down":           "служба systemd не запущена",
	"http_failed":         "нет ответа по HTTP",
	"http_status":         "не тот статус HTTP",
	"http_text":           "не тот текст по HTTP",
	"command_failed":      "команда проверки завершилась с ошибкой",
	"command_timeout":     "команда проверки работала слишком долго",
	"probe_unseen":        "у агента нет прав посмотреть",
	"probe_unsupported":   "на этой системе агент посмотреть не может",
}
