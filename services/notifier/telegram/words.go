package telegram

// Fault is what is wrong, as far as it is known.
type Fault string

// The faults, each with its words below.
const (
	TokenWrong     Fault = "token_wrong"
	ChatNotFound   Fault = "chat_not_found"
	ChatWrong      Fault = "chat_wrong"
	ChatIsBot      Fault = "chat_is_bot"
	Blocked        Fault = "blocked"
	Kicked         Fault = "kicked"
	NotMember      Fault = "not_member"
	NotStarted     Fault = "not_started"
	Deactivated    Fault = "deactivated"
	NoTopic        Fault = "no_topic"
	TopicClosed    Fault = "topic_closed"
	Migrated       Fault = "migrated"
	NoRights       Fault = "no_rights"
	MessageRefused Fault = "message_refused"
	RequestRefused Fault = "request_refused" // of a call that is about no chat
	Conflict       Fault = "conflict"        // another program polls for the bot's updates
	TooMany        Fault = "too_many"
	TelegramFault  Fault = "telegram_fault"
	Malformed      Fault = "malformed" // what we were given to send, or its chat

	TooManyBefore     Fault = "too_many_before"
	Unreachable       Fault = "unreachable"
	NotTelegram       Fault = "not_telegram"
	AddressMalformed  Fault = "address_malformed"
	ProxyAway         Fault = "proxy_away"
	ProxyRefuses      Fault = "proxy_refuses"
	NoName            Fault = "no_name"
	ConnectionRefused Fault = "connection_refused"
	NoConnection      Fault = "no_connection"
	NoRoute           Fault = "no_route"
	Certificate       Fault = "certificate"
	NoAnswer          Fault = "no_answer"
	Broken            Fault = "broken"
)

const (
	wayEN = ". If this machine needs a proxy for the internet, set HTTPS_PROXY; if Telegram is blocked here, " +
		"set TELEGRAM_API_URL to a Bot API server that it can reach"
	wayRU = ". Если этой машине нужен прокси для интернета, задайте HTTPS_PROXY; если Telegram здесь заблокирован, " +
		"задайте в TELEGRAM_API_URL сервер Bot API, до которого она достаёт"
)

// english and russian are what is said, for fmt; both with the same arguments.
var english = map[Fault]string{
	TokenWrong:     "Telegram does not know the bot (%d %s): is TELEGRAM_BOT_TOKEN right? @BotFather shows it under API Token",
	ChatNotFound:   "chat %s: Telegram says %q: is the bot in the chat, and is TELEGRAM_CHAT_ID right? A person must have pressed Start first",
	ChatWrong:      "chat %s: Telegram says %q: is TELEGRAM_CHAT_ID right?",
	ChatIsBot:      "chat %s: Telegram says %q: TELEGRAM_CHAT_ID is a bot: it must be a person, a group or a channel",
	Blocked:        "chat %s: Telegram says %q: unblock the bot in Telegram",
	Kicked:         "chat %s: Telegram says %q: add the bot to the chat again",
	NotMember:      "chat %s: Telegram says %q: add the bot to the chat",
	NotStarted:     "chat %s: Telegram says %q: open the bot in Telegram and press Start",
	Deactivated:    "chat %s: Telegram says %q: this account or group does not exist any more: change TELEGRAM_CHAT_ID",
	NoTopic:        "chat %s: Telegram says %q: the topic in TELEGRAM_CHAT_ID does not exist, or was deleted",
	TopicClosed:    "chat %s: Telegram says %q: open the topic again, or make the bot an administrator that may write there",
	Migrated:       "chat %s: Telegram says %q: put the group's new id into TELEGRAM_CHAT_ID",
	NoRights:       "chat %s: Telegram says %q: allow the bot to write in the chat",
	MessageRefused: "chat %s: Telegram says %q",
	RequestRefused: "Telegram says %q",
	Conflict:       "another program asks Telegram for this bot's updates (%s): end it, or give it a bot of its own",
	TooMany:        "Telegram asks to wait %v: too many messages",
	TelegramFault:  "Telegram has a fault of its own (%d %s)",
	Malformed:      "%s",

	TooManyBefore:     "something before Telegram says: too many requests",
	Unreachable:       "Telegram cannot be reached (%d %s)",
	NotTelegram:       "what answers is not Telegram's Bot API (%d %s): is TELEGRAM_API_URL right?",
	AddressMalformed:  "TELEGRAM_API_URL and TELEGRAM_BOT_TOKEN make no valid address",
	ProxyAway:         "no way to Telegram: the proxy of HTTPS_PROXY cannot be reached%s",
	ProxyRefuses:      "no way to Telegram: the proxy of HTTPS_PROXY refuses (%s): does it want a user and password, and may it reach Telegram?",
	NoName:            "no way to Telegram: the name %s cannot be resolved" + wayEN,
	ConnectionRefused: "no way to Telegram: %s refuses connections" + wayEN,
	NoConnection:      "no way to Telegram: no connection to %s in time" + wayEN,
	NoRoute:           "no way to Telegram: %s" + wayEN,
	Certificate:       "no way to Telegram: its certificate is not trusted (%s): is something between this machine and Telegram?",
	NoAnswer:          "Telegram did not answer in time%s",
	Broken:            "the connection to Telegram broke: %s",
}

var russian = map[Fault]string{
	TokenWrong:     "Telegram не знает такого бота (%d %s): верен ли TELEGRAM_BOT_TOKEN? Его показывает @BotFather в пункте API Token",
	ChatNotFound:   "чат %s: Telegram отвечает %q: добавлен ли бот в чат и верен ли TELEGRAM_CHAT_ID? В личном чате сначала нажмите Start",
	ChatWrong:      "чат %s: Telegram отвечает %q: верен ли TELEGRAM_CHAT_ID?",
	ChatIsBot:      "чат %s: Telegram отвечает %q: в TELEGRAM_CHAT_ID указан бот, а нужен человек, группа или канал",
	Blocked:        "чат %s: Telegram отвечает %q: разблокируйте бота в Telegram",
	Kicked:         "чат %s: Telegram отвечает %q: добавьте бота в чат снова",
	NotMember:      "чат %s: Telegram отвечает %q: добавьте бота в чат",
	NotStarted:     "чат %s: Telegram отвечает %q: откройте бота в Telegram и нажмите Start",
	Deactivated:    "чат %s: Telegram отвечает %q: такой учётной записи или группы больше нет, смените TELEGRAM_CHAT_ID",
	NoTopic:        "чат %s: Telegram отвечает %q: темы, указанной в TELEGRAM_CHAT_ID, нет или она удалена",
	TopicClosed:    "чат %s: Telegram отвечает %q: откройте тему снова или сделайте бота администратором, которому можно в неё писать",
	Migrated:       "чат %s: Telegram отвечает %q: укажите новый id группы в TELEGRAM_CHAT_ID",
	NoRights:       "чат %s: Telegram отвечает %q: разрешите боту писать в чат",
	MessageRefused: "чат %s: Telegram отвечает %q",
	RequestRefused: "Telegram отвечает %q",
	Conflict:       "другая программа забирает обновления этого бота (%s): остановите её или дайте ей своего бота",
	TooMany:        "Telegram просит подождать %v: слишком много сообщений",
	TelegramFault:  "неполадка у самого Telegram (%d %s)",
	Malformed:      "%s",

	TooManyBefore:     "что-то на пути к Telegram отвечает: слишком много запросов",
	Unreachable:       "до Telegram не достучаться (%d %s)",
	NotTelegram:       "отвечает не Bot API Telegram (%d %s): верен ли TELEGRAM_API_URL?",
	AddressMalformed:  "из TELEGRAM_API_URL и TELEGRAM_BOT_TOKEN не получается адрес",
	ProxyAway:         "нет пути до Telegram: прокси из HTTPS_PROXY недоступен%s",
	ProxyRefuses:      "нет пути до Telegram: прокси из HTTPS_PROXY отказывает (%s): не нужны ли ему имя и пароль и можно ли через него в Telegram?",
	NoName:            "нет пути до Telegram: имя %s не находится" + wayRU,
	ConnectionRefused: "нет пути до Telegram: %s не принимает соединения" + wayRU,
	NoConnection:      "нет пути до Telegram: не удалось вовремя соединиться с %s" + wayRU,
	NoRoute:           "нет пути до Telegram: %s" + wayRU,
	Certificate:       "нет пути до Telegram: нет доверия к его сертификату (%s): нет ли чего-то между этой машиной и Telegram?",
	NoAnswer:          "Telegram не ответил вовремя%s",
	Broken:            "соединение с Telegram оборвалось: %s",
}
