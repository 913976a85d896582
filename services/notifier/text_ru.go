package notifier

import (
	"fmt"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

var russian = catalogue{
	timeLayout: "02.01.2006 15:04:05",

	up:             "✅ Узел Gensyn РАБОТАЕТ",
	down:           "❌ Узел Gensyn НЕ РАБОТАЕТ",
	degraded:       "⚠️ Узел Gensyn СБОИТ",
	lost:           "❌ Узел Gensyn: НЕТ СВЯЗИ",
	joined:         "✅ Новый узел Gensyn",
	joinedDown:     "❌ Новый узел Gensyn, НЕ РАБОТАЕТ",
	joinedDegraded: "⚠️ Новый узел Gensyn, СБОИТ",
	returned:       "⚠️ Удалённый узел Gensyn всё ещё шлёт сигналы",
	deleted:        "✅ Узел Gensyn удалён",
	blind:          "⚠️ Монитор ничего не видел",
	deaf:           "❌ Монитор оглох",
	hearing:        "✅ Монитор снова слышит",
	stalled:        "❌ Монитор остановился",
	doubled:        "⚠️ Один NODE_ID у нескольких отправителей",
	doubledMaybe:   "⚠️ Один NODE_ID, попеременно разные адреса",
	outdated:       "❌ Программа evaluator старее, чем ingest",
	unknown:        "⚠️ Событие монитора",

	ip:        "IP",
	reason:    "Причина",
	evidence:  "Подробности",
	was:       "До этого",
	by:        "Кто",
	time:      "Время",
	happened:  "Случилось",
	found:     "Обнаружено",
	silentFor: "Молчит",
	lastHeard: "Последний сигнал",
	lasted:    "Инцидент длился",
	deletedAt: "Удалён %s, но всё ещё шлёт сигналы: остановите агента или оставьте узел в списке",
	refused:   "Отклонено за это время",
	more:      "Страница",

	blindSpan: "Ничего не было слышно %s: с %s по %s. Об узлах за это время не судим.",
	deafSpan:  "Уже %s, с %s, нет сигналов ни от одного %s.",
	deafAdvice: "Возможно, дело не в узлах: проверьте сеть, прокси, сертификат и секрет. " +
		"Об узлах, которые замолчат сейчас, отдельных сообщений не будет.",
	hearingSpan:   "Он был глух %s, с %s.",
	hearingAdvice: "За это время потеряна связь: %s. О тех, кто так и будет молчать, придёт сообщение.",
	stalledSpan:   "До evaluator уже %s, с %s, не доходят сообщения.",
	stalledAdvice: "Пока это так, об узлах не судим: проверьте NATS и ingest.",
	outdatedAdvice: "Он встретил сообщение более новой версии и дальше не идёт. Об узлах не судим, пока evaluator не " +
		"обновлён; ничего не потеряно, он продолжит с этого сообщения.",

	addresses:     "Откуда",
	doubledAdvice: "Дайте каждому свой NODE_ID. До тех пор показано состояние то одного, то другого.",
	doubledMaybeAdvice: "Если это две машины, дайте одной из них другой NODE_ID. " +
		"Если это одна машина с двумя выходами в интернет, всё в порядке.",
	clonesAdvice: "У них один и тот же boot id: это копии одной машины, и слышно только одну из них. " +
		"Дайте каждой свой NODE_ID.",

	reasons: map[string]string{
		"no_screen":               "нет сессии screen",
		"no_process":              "процесс не запущен",
		"port_closed":             "порт закрыт",
		"no_screen_no_proc":       "нет ни сессии screen, ни процесса",
		"no_p2pd":                 "p2pd не запущен",
		"stale_log":               "журнал перестал расти",
		"empty_screen_no_runtime": "сессия screen пуста, в ней ничего не запущено",
		node.ReasonSilent:         "от него ничего не слышно",
		node.ReasonDeaf:           "ни от кого ничего не слышно",
		node.ReasonReported:       "так сообщил агент",
		node.ReasonUnknownStatus:  "агент прислал статус, которого монитор не знает",
	},
	port: "порт %d закрыт",
	states: map[node.State]string{
		node.Up: "работал", node.Degraded: "сбоил", node.Down: "не работал", node.Lost: "не было связи",
	},
	statuses: map[string]string{
		"400": "с ошибкой", "401": "неверный токен или без токена", "403": "токен другого узла",
		"413": "слишком большие", "429": "слишком частые", "503": "не было NATS",
	},
	units: durationUnits{less: "меньше 1 с", second: "с", minute: "мин", hour: "ч", day: "дн."},
	nodes: func(n int) string {
		return fmt.Sprintf("из %d %s", n, pluralRussian(n, "узла", "узлов", "узлов"))
	},
	marked: func(n int) string {
		return fmt.Sprintf("%d %s", n, pluralRussian(n, "узел", "узла", "узлов"))
	},
}
