package bus

import (
	"encoding/json"
	"fmt"
)

// stamped is every message, by its embedded Head.
type stamped interface{ stamp() }

func (h *Head) stamp() { h.Protocol = Protocol }

// checked is every message that comes from a side that is not trusted.
type checked interface {
	check() error
	spoken() int
}

// spoken is the protocol that a message came in.
func (h Head) spoken() int { return h.Protocol }

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

// decode reads a message of at most limit bytes. What is wrong with one of another
// protocol is only that: nothing else in it can be trusted to mean the same.
func decode[M checked](data []byte, limit int) (M, error) {
	var m M
	if len(data) > limit {
		return m, fmt.Errorf("a message of %d bytes, at most %d are allowed", len(data), limit)
	}
	err := json.Unmarshal(data, &m)
	spoken := m.spoken()
	if err != nil {
		var h Head
		if json.Unmarshal(data, &h) != nil {
			return m, fmt.Errorf("not a message: %w", err)
		}
		spoken = h.Protocol
	}
	if spoken != Protocol {
		return m, fmt.Errorf("protocol %d is not spoken here, %d is: bring master and slave to the same version", spoken, Protocol)
	}
	if err != nil {
		return m, fmt.Errorf("not a message: %w", err)
	}
	return m, m.check()
}

// foreign is an answer in another protocol. Its words come first, if it has any: a
// master explains itself in them.
func foreign(r refusal) error {
	if r.Error != "" {
		return fmt.Errorf("%w: %s", ErrProtocol, r.Error)
	}
	return fmt.Errorf("%w: it speaks protocol %d, this program %d: bring both to the same version", ErrProtocol, r.Protocol, Protocol)
}

// decodeReply reads what a master answered; its refusals become errors.
func decodeReply[R any](data []byte) (R, error) {
	var reply R
	var r refusal
	if err := json.Unmarshal(data, &r); err != nil {
		return reply, fmt.Errorf("read the master's answer: %w", err)
	}
	if r.Protocol != Protocol {
		return reply, fmt.Errorf("%w: %w", ErrRefused, foreign(r))
	}
	if r.Error != "" {
		return reply, fmt.Errorf("%w: %s", ErrRefused, r.Error)
	}
	if err := json.Unmarshal(data, &reply); err != nil {
		return reply, fmt.Errorf("read the master's answer: %w", err)
	}
	return reply, nil
}
