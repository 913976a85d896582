package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

var russian = words{
	Lang: "ru", OtherLang: "en", OtherName: "English",

	NodeID: "ID узла", IP: "IP", Status: "Состояние", LastHeartbeat: "Последний сигнал", Age: "Давность", Meta: "Пометка",
	Uptime30: "30 дней", Round: "Раунд", GPU: "GPU",
	Nodes: "Узлы", All: "Все", Skip: "Перейти к содержанию", Search: "Найти", SearchNodes: "Поиск узлов",
	Incidents: "Инциденты", Monitor: "Монитор", Sections: "Разделы",
	Sort: "Порядок", First: "Первая страница", Previous: "Предыдущая страница", Next: "Следующая страница", Pages: "Страницы",
	Gone: "Здесь ничего нет", GoneHow: "Узел удалён, или адрес неверен.", Back: "Ко всем узлам",

	Orders: []string{"сначала худшие", "по ID", "последние изменения", "дольше молчат"},

	States: map[node.State]string{
		node.Up: "РАБОТАЕТ", node.Degraded: "СБОИТ", node.Down: "НЕ РАБОТАЕТ", node.Lost: "НЕТ СВЯЗИ",
	},

	Live: "На связи", Waiting: "Соединяемся…",
	NoScript: "Без JavaScript страница загружается заново каждые 30 секунд.",
	Lost:     "Нет связи с монитором. Возраст данных: {age}. Пробуем снова…",
	Broken:   "Монитор не может прочитать базу данных. Возраст данных: {age}. Пробуем снова…",

	Empty:         "Узлов пока нет",
	EmptyHow:      "Запустите агент на каждой машине, за которой нужно следить. Узел появится здесь с первым сигналом.",
	EmptyPrinted:  "При запуске монитор вывел эту строку уже с секретом.",
	EmptyHand:     "Или отправьте один сигнал вручную:",
	EmptyOld:      "Агенты первого Gensyn Monitor работают без изменений: задайте им SERVER_URL и SHARED_SECRET.",
	Secret:        "<секрет>",
	IngestAddress: "https://<адрес ingest>",
	Senders:       "У этого ID несколько отправителей",
	SendersMaybe:  "Попеременно разные адреса: две машины или два выхода одной",
	Clones:        "У этого ID копии одной машины, слышно только одну",
	NoMatch:       "Ни один узел не подходит.", ShowAll: "Показать все узлы",
	NoDatabase: "База данных не отвечает",
	WhyNot:     "Поэтому показать сейчас нечего. Сигналы по-прежнему принимаются. Страница вернётся сама.",

	Never:      "Evaluator ещё не запускался: состояние узлов никто не оценивает. Запустите evaluator.",
	NotSetUp:   "Telegram не настроен: об остановке узла никто не узнает. Задайте TELEGRAM_BOT_TOKEN и TELEGRAM_CHAT_ID.",
	NoNotifier: "Notifier не запущен: об остановке узла никто не узнает.",
	API:        "То же в JSON",

	Units: unitsRu,
	Long: [4]func(int) string{
		formsRu("секунду", "секунды", "секунд"), formsRu("минуту", "минуты", "минут"),
		formsRu("час", "часа", "часов"), formsRu("день", "дня", "дней"),
	},

	Node: russianNode, Incident: russianIncident, Mon: russianMonitor, Whys: russianWhys,

	summary: func(counts map[node.State]int) string {
		var parts []string
		for _, s := range states {
			if counts[s] > 0 {
				parts = append(parts, fmt.Sprintf("%s %d", stateNounsRu[s], counts[s]))
			}
		}
		if len(parts) == 0 {
			return "Узлов пока нет"
		}
		return "Узлы: " + strings.Join(parts, ", ")
	},
	number: func(n int64) string { return grouped(n, "\u00a0") },
	percent: func(p float64, digits int) string {
		return strings.Replace(strconv.FormatFloat(p, 'f', digits, 64), ".", ",", 1) + "\u00a0%"
	},
	stale: func(age string) string {
		return "Данные устарели на " + age + ": evaluator остановился или не может записать."
	},
	behind: func(age string) string {
		return "Новых сообщений нет уже " + age + ": остановился ingest или NATS, или evaluator навёрстывает отставание."
	},
	deaf: func(since, refused string) string {
		text := "Ни от одного узла нет сигнала с " + since +
			": возможно, дело в сети, прокси, сертификате или секрете перед монитором."
		if refused != "" {
			text += " С тех пор отклонено: " + refused + "."
		}
		return text
	},
	failing: func(chat, why string) string {
		return "Оповещения не доходят в чат " + chat + ": " + why
	},
	waiting: func(n int, age string) string {
		return fmt.Sprintf("%s отправки: %d, самое старое — уже %s.",
			formsRu("Оповещение ждёт", "Оповещения ждут", "Оповещения ждут")(n), n, age)
	},
	overflow: func(n int64) string {
		return fmt.Sprintf("Не %s %d %s: узлов уже MAX_NODES.",
			formsRu("сохранён", "сохранены", "сохранено")(int(n)), n,
			formsRu("сигнал неизвестного узла", "сигнала неизвестных узлов", "сигналов неизвестных узлов")(int(n)))
	},
	event:        eventRu,
	ago:          func(d time.Duration) string { return unitsRu.short(d) + " назад" },
	since:        func(span string) string { return "за " + span },
	foundLater:   func(late string) string { return "обнаружено на " + late + " позже" },
	acknowledged: func(by, at string) string { return "Занимается " + by + ", с " + at },
	served:       func(share string) string { return "в работе " + share + " времени наблюдения" },
	chartLabel: func(name, last, least, most string) string {
		return name + ": " + last + ", от " + least + " до " + most
	},
	perSecond: func(rate float64) string {
		return strings.Replace(strconv.FormatFloat(rate, 'f', 1, 64), ".", ",", 1) + " в секунду"
	},
	epoch:  func(n int64) string { return "эпоха потока " + strconv.FormatInt(n, 10) },
	ofMost: func(most int64) string { return "не более " + grouped(most, "\u00a0") },
}

// stateNounsRu stand before a number, where the badge's word would not.
var stateNounsRu = map[node.State]string{
	node.Lost: "нет связи —", node.Down: "не работают —", node.Degraded: "сбоят —", node.Up: "работают —",
}
