package attacker

import (
	"sync"
)

// Connections are the kept connections of a foothold, by name. Make them with
// NewConnections; they are safe for concurrent use. Requests on the same name
// go one after another.
type Connections struct {
	mu     sync.Mutex
	byName map[string]*slot
}

// slot is the place of one name. It stays when its connection goes, so that
// requests which wait for their turn find the next one.
type slot struct {
	turn chan struct{} // holds one token while a request is under way
	link *link         // guarded by Connections.mu; nil when not open
	gone bool          // closed by us: no request may put a connection here
}

// NewConnections is an empty set.
func NewConnections() *Connections {
	return &Connections{byName: map[string]*slot{}}
}

func (c *Connections) slot(name string) *slot {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.byName[name]
	if s == nil {
		s = &slot{turn: make(chan struct{}, 1)}
		c.byName[name] = s
	}
	return s
}

func (c *Connections) link(s *slot) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.link
}

// keep is false, and l closed, when the slot was closed during the dial.
func (c *Connections) keep(s *slot, l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.gone {
		l.close()
		return false
	}
	s.link = l
	return true
}

func (c *Connections) forget(s *slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.link != nil {
		s.link.close()
		s.link = nil
	}
}

// Close ends the connection of that name, if there is one; the next request with
// it dials. A request under way on it fails.
func (c *Connections) Close(name string) {
	c.mu.Lock()
	s := c.byName[name]
	delete(c.byName, name)
	if s != nil {
		s.gone = true
	}
	c.mu.Unlock()
	if s != nil {
		c.forget(s)
	}
}

// CloseAll ends all connections.
func (c *Connections) CloseAll() {
	c.mu.Lock()
	names := make([]string, 0, len(c.byName))
	for name := range c.byName {
		names = append(names, name)
	}
	c.mu.Unlock()
	for _, name := range names {
		c.Close(name)
	}
}
