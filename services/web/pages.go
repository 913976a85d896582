package web

import "net/http"

// pageRoutes are the pages for people, and the stream that keeps them fresh.
func (s *Service) pageRoutes(get func(path, route string, h http.HandlerFunc)) {
	get("/", "page", s.getTable)
	get(nodePath+"*", "node", s.getNode)
	get("/incidents", "incidents", s.getIncidents)
	get("/monitor", "monitor", s.getMonitor)
	get("/api/events", "events", s.getEvents)
}
