package bus

import (
	"errors"
	"fmt"
)

// Sentinel errors of requests.
var (
	// ErrNobody means that no master can be reached right now: none listens, or
	// the connection is down. Wait a little and ask again.
	ErrNobody = errors.New("no master answers")
	// ErrRefused means that the master answered, and refused: the error's text
	// holds its words.
	ErrRefused = errors.New("the master refused")
	// ErrProtocol is an ErrRefused that no waiting mends: the master speaks another
	// version of the protocol than this program.
	ErrProtocol = errors.New("master and slave do not understand each other")
	// ErrCredentials means that the server does not know these credentials, or
	// that they are no credentials at all.
	ErrCredentials = errors.New("credentials not accepted")
)

// errNotAccepted is ErrCredentials with the remedy.
var errNotAccepted = fmt.Errorf("%w: they were revoked, or are of another farm: enroll again", ErrCredentials)
