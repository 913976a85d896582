package web

import (
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var unitsRu = units{"с", "мин", "ч", "д"}

var russianNode = nodeWords{
	State: "Состояние", Uptime: "Доступность", Charts: "Что присылает агент", Incidents: "Инциденты", Timeline: "События",
	Report: "Последний отчёт в JSON", Facts: "Об этом узле",

	Windows: []string{"24 часа", "7 дней", "30 дней", "90 дней"},
	Use:     "загрузка", Memory: "память", GPUTemperature: "Температура GPU", Hottest: "самый горячий", Machine: "Машина",
	Processor: "процессоры", Disk: "Диск", InUse: "занято",
	NoSamples:   "За это время ничего не записано: агент не присылает измерений, или их запись выключена.",
	NoIncidents: "Инцидентов не записано.", NoEvents: "Пока ничего не произошло.", Older: "Более старые инциденты не показаны.",
	Threshold: "Потерян после молчания", Own: "свой порог", Default: "по умолчанию", Interval: "Сообщает каждые", Joined: "Впервые услышан", Agent: "Агент",
	Workload: "Задача", Phase: "Стадия", Peer: "Имя в сети", Model: "Модель", Supervisor: "Запущен в", Running: "Работает уже", Restarts: "Перезапусков",
	Annotation: "Агент сообщил позже", AgentClock: "по часам агента", Command: "Агент выполнил команду для неработающего узла",
	Log: "журнал", ToBeTold: "ждёт отправки", Told: "сообщено", NotTold: "не сообщено",
	Last:   "последний",
	Legend: "Зелёный — в работе, жёлтый — сбоил, красный — не работал, светло-красный — нет связи, серый — не наблюдался.",
	Absent: "узла ещё не было", NotObserved: "без наблюдения",
}

var russianIncident = incidentWords{
	OpenOnly: "Открытые", Began: "Начало", Ended: "Конец", Lasted: "Длительность", Lasts: "открыт", Worst: "Худшее состояние", Node: "Узел",
	None: "Инцидентов нет.", CSV: "Скачать в CSV",
}

var russianMonitor = monitorWords{
	How: "Как работает сам монитор.", Fine: "В ПОРЯДКЕ", Look: "ВНИМАНИЕ", Broken: "СЛОМАНО", NotActive: "НЕТ NOTIFIER", Late: "ОПАЗДЫВАЕТ", None: "нет", Nobody: "никто", Never: "никогда",
	LastAccepted: "Последний сигнал", Rate: "Сигналов", LastMinute: "за последнюю полную минуту", Accepted: "Принято", Refused: "Отклонено по статусам",
	Process: "Процесс", Overflow: "Сверх MAX_NODES",
	Holder: "Держит аренду", Term: "Срок", Committed: "Последняя запись", Lag: "Отставание", LagHow: "возраст новейшего сообщения", Position: "Позиция",
	Waiting: "Ждут отправки", LastTold: "Последнее оповещение", Version: "Версия", Streams: "Открытых страниц", Skew: "Часы расходятся с NATS на",
	Silences:  "Тишина",
	Processes: "Процессы", Service: "Служба", Runs: "Работает", Heard: "Слышен", Other: "не та версия, что у этой страницы",
	Chats: "Кому сообщается", Chat: "Чат", Oldest: "Старейшее ждёт", Error: "Что не так",
	Spans: "Слепые и глухие промежутки", SpansHow: "В это время монитор не мог услышать узлы. В доступность оно не входит.",
	NoSpans: "За последние 90 дней не было.", Blind: "слепой", Deaf: "глухой", Lasts: "длится", Kind: "Вид", From: "С", To: "До",
}

var russianWhys = map[string]string{
	nodestore.Silenced: "заглушено", nodestore.Flapping: "узел мечется", nodestore.Flapped: "вошло в сводку после метаний",
	nodestore.GivenUp: "чата слишком долго не было",
}

func eventRu(e *node.Event) string {
	switch e.Kind {
	case node.Joined:
		if e.Since != 0 {
			return "Был удалён, но снова сообщает о себе"
		}
		return "Впервые услышан"
	case node.Deleted:
		if e.By != "" {
			return "Удалён: " + e.By
		}
		return "Удалён"
	case node.Doubled:
		return "У этого ID несколько отправителей"
	case node.Changed:
		if e.To == node.Up && e.Lasted > 0 {
			return "Снова работает, спустя " + unitsRu.short(e.Lasted)
		}
		return ""
	default:
		return string(e.Kind)
	}
}
