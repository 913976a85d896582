package notifier

import (
	"fmt"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

var russian = catalogue{
	language:   Russian,
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
	outdated:       "❌ Версия evaluator старее, чем ingest",
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

	blindSpan: "Ничего не было слышно %s: с %s по %s. Состояние узлов за это время не оценивалось.",
	deafSpan:  "Уже %s, с %s, нет сигналов ни от одного %s.",
	deafAdvice: "Возможно, дело не в узлах: проверьте сеть, прокси, сертификат и секрет. " +
		"Об узлах, которые замолчат сейчас, отдельных сообщений не будет.",
	hearingSpan:   "Он ничего не слышал %s, с %s.",
	hearingAdvice: "Осталось без связи за это время: %s. О тех, кто так и не отзовётся, придёт сообщение.",
	stalledSpan:   "Уже %s, с %s, до evaluator не доходят сообщения.",
	stalledAdvice: "Пока это так, состояние узлов не оценивается: проверьте NATS и ingest.",
	outdatedAdvice: "Evaluator встретил сообщение более новой версии и остановился на нём. Состояние узлов не оценивается, " +
		"пока он не обновлён. Ничего не потеряно: он продолжит с этого сообщения.",

	addresses:     "Откуда",
	doubledAdvice: "Дайте каждому свой NODE_ID. До тех пор показано состояние то одного, то другого.",
	doubledMaybeAdvice: "Если это две машины, дайте одной из них другой NODE_ID. " +
		"Если это одна машина с двумя выходами в интернет, всё в порядке.",
	clonesAdvice: "У них один и тот же boot id: это копии одной машины, и слышно только одну из них. " +
		"Дайте каждой свой NODE_ID.",

	states: map[node.State]string{
		node.Up: "работал", node.Degraded: "сбоил", node.Down: "не работал", node.Lost: "не было связи",
	},
	statuses: map[string]string{
		"400": "с ошибкой", "401": "неверный токен или без токена", "403": "токен другого узла",
		"413": "слишком большие", "429": "слишком частые", "503": "не было NATS",
	},
	less: "меньше секунды",
	// After verbs of duration, "молчит", "длился": in the accusative.
	units: [4]func(int) string{
		manyRussian("секунду", "секунды", "секунд"), manyRussian("минуту", "минуты", "минут"),
		manyRussian("час", "часа", "часов"), manyRussian("день", "дня", "дней"),
	},
	nodes:  func(n int) string { return "из " + countRussian("узла", "узлов", "узлов")(n) },
	marked: countRussian("узел", "узла", "узлов"),

	listTitle:    "Gensyn: %s",
	summaryTitle: "📊 Узлы Gensyn за сутки",
	flapping:     "🔁 Узел Gensyn НЕСТАБИЛЕН",
	flapped:      "🔁 Узел Gensyn БЫЛ НЕСТАБИЛЕН",
	still: map[node.State]string{
		node.Down: "⏰ Узел Gensyn всё ещё НЕ РАБОТАЕТ", node.Lost: "⏰ Узел Gensyn: всё ещё НЕТ СВЯЗИ",
		node.Degraded: "⏰ Узел Gensyn всё ещё СБОИТ",
	},
	short: map[node.State]string{
		node.Up: "РАБОТАЕТ", node.Degraded: "СБОИТ", node.Down: "НЕ РАБОТАЕТ", node.Lost: "НЕТ СВЯЗИ",
	},
	counts: map[node.State]func(int) string{
		node.Up: countRussian("РАБОТАЕТ", "РАБОТАЮТ", "РАБОТАЮТ"), node.Degraded: countRussian("СБОИТ", "СБОЯТ", "СБОЯТ"),
		node.Down: countRussian("НЕ РАБОТАЕТ", "НЕ РАБОТАЮТ", "НЕ РАБОТАЮТ"), node.Lost: countRussian("БЕЗ СВЯЗИ", "БЕЗ СВЯЗИ", "БЕЗ СВЯЗИ"),
	},
	countNew:    countRussian("новый", "новых", "новых"),
	countBack:   countRussian("уже восстановился", "уже восстановились", "уже восстановились"),
	countAlerts: countRussian("сообщение", "сообщения", "сообщений"),
	countOther:  countRussian("другое сообщение", "других сообщения", "других сообщений"),

	upAfter:        "РАБОТАЕТ, инцидент длился %s",
	wasDown:        "снова РАБОТАЕТ, не работал %s",
	again:          "снова %s",
	stillSince:     "%s уже %s",
	silentLine:     "молчит %s",
	newLine:        "новый, %s",
	returnedLine:   "удалён, но всё ещё шлёт сигналы",
	doubledLine:    "его NODE_ID у нескольких отправителей",
	wasSilenced:    "До сих пор сообщения о нём были отключены.",
	flappingLine:   "нестабилен: %s с %s по %s, сейчас %s",
	flappedLine:    "был нестабилен: %s с %s по %s, сейчас %s",
	flappingAdvice: "О следующих изменениях придёт итог: когда их не будет 30 минут, а иначе каждые 6 часов.",
	changes:        countRussian("изменение", "изменения", "изменений"),
	changesLabel:   "Изменения",
	changesField:   "%s, с %s по %s",
	changesSpan:    "%s с %s по %s",
	flapsNow:       "нестабилен, сейчас %s",
	decimal:        ",",
	now:            "Сейчас",
	since:          "Началось",
	sinceSpan:      "%s (уже %s)",
	ownNetwork:     "Возможно, дело в сети самого монитора: за 5 минут замолчали %s из %s узлов.",
	others:         "по другим причинам",
	record:         "Все они есть в записях монитора.",
	first:          "Первые",
	remind:         "⏰ Gensyn: всё ещё %s",
	uptime:         "Доступность",
	worst:          "Хуже всех",
	allDay:         "Все узлы работали весь день.",
	total:          "Узлы",
	number:         numberRussian,
}

func manyRussian(one, two, five string) func(int) string {
	return func(n int) string { return fmt.Sprintf("%d %s", n, pluralRussian(n, one, two, five)) }
}

func countRussian(one, two, five string) func(int) string {
	return func(n int) string { return numberRussian(n) + " " + pluralRussian(n, one, two, five) }
}

func numberRussian(n int) string { return grouped(n, "\u00a0") }
