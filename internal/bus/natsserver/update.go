package natsserver

import (
	"fmt"

	"github.com/nats-io/jwt/v2"

	"pinwheel/internal/bus"
)

// Update makes the running server know an authority as it is now. Connections
// whose credentials were revoked are closed when it returns, and cannot come
// back. The authority must be the one that the server was started with.
func (s *Server) Update(a *bus.Authority) error {
	for public, token := range a.Trust().Accounts {
		claims, err := jwt.DecodeAccountClaims(token)
		if err != nil {
			return fmt.Errorf("update NATS: account %s: %w", public, err)
		}
		// The resolver first: an account that nobody has used yet is read from it.
		if err := s.accounts.Store(public, token); err != nil {
			return fmt.Errorf("update NATS: account %s: %w", public, err)
		}
		account, err := s.s.LookupAccount(public)
		if err != nil {
			return fmt.Errorf("update NATS: account %s: %w", public, err)
		}
		s.s.UpdateAccountClaims(account, claims)
	}
	return nil
}
