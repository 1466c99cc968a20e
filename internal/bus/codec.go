package bus

import (
	"encoding/json"
	"fmt"
)

// stamped is every message, by its embedded Head.
type stamped interface{ stamp() }

func (h *Head) stamp() { h.Protocol = Protocol }

// checked is every message that comes from a side that is not trusted.
type checked interface{ check() error }

// refusal is any reply in which only the error is set.
type refusal struct {
	Head
	Error string `json:"error"`
}

func encode(m stamped) ([]byte, error) {
	m.stamp()
	data, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return data, nil
}

// decode reads a message of at most limit bytes. The protocol is looked at
// first: of another one nothing else can be trusted to mean the same.
func decode[M checked](data []byte, limit int) (M, error) {
	var m M
	if len(data) > limit {
		return m, fmt.Errorf("a message of %d bytes, at most %d are allowed", len(data), limit)
	}
	var h Head
	if err := json.Unmarshal(data, &h); err != nil {
		return m, fmt.Errorf("not a message: %w", err)
	}
	if h.Protocol != Protocol {
		return m, fmt.Errorf("protocol %d is not spoken here, %d is: bring master and slave to the same version", h.Protocol, Protocol)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("not a message: %w", err)
	}
	return m, m.check()
}

// decodeReply reads what a master answered; its refusals become errors.
func decodeReply[R any](data []byte) (R, error) {
	var reply R
	var r refusal
	if err := json.Unmarshal(data, &r); err != nil {
		return reply, fmt.Errorf("read the master's answer: %w", err)
	}
	// The words first: a master of another protocol explains itself in them.
	if r.Error != "" {
		return reply, fmt.Errorf("%w: %s", ErrRefused, r.Error)
	}
	if r.Protocol != Protocol {
		return reply, fmt.Errorf("%w: it speaks protocol %d, this program %d: bring both to the same version", ErrRefused, r.Protocol, Protocol)
	}
	if err := json.Unmarshal(data, &reply); err != nil {
		return reply, fmt.Errorf("read the master's answer: %w", err)
	}
	return reply, nil
}
