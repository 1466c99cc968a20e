package bus

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"pinwheel/internal/atomicfile"
)

// forEver is later than any clock says: a key that is revoked up to it stays
// dead, however wrong the clocks of the hosts are that signed or read its JWT.
func forEver() time.Time { return time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) }

// Revoke ends credentials for ever by their public key. It is in the file of the
// authority when Revoke returns; a server knows of it when it is told (the
// embedded one by natsserver.Server.Update, another by ServerConfig). Revoking
// twice is harmless, also by several processes at once.
func (a *Authority) Revoke(publicKey string) error {
	if !nkeys.IsValidPublicUserKey(publicKey) {
		return fmt.Errorf("revoke %.80q: not the public key of a user", publicKey)
	}
	unlock, err := lockFolder(filepath.Dir(a.path))
	if err != nil {
		return fmt.Errorf("revoke %s: %w", publicKey, err)
	}
	defer unlock()
	// Read again under the lock: another process may have revoked others.
	now, err := loadAuthority(a.path)
	if err != nil {
		return err
	}
	if now.account.JWT, err = now.withRevoked(publicKey); err != nil {
		return fmt.Errorf("revoke %s: %w", publicKey, err)
	}
	if err := now.save(); err != nil {
		return fmt.Errorf("revoke %s: %w", publicKey, err)
	}
	*a = *now
	return nil
}

// withRevoked is the account's JWT with one more key in its list of the dead,
// signed anew by the operator.
func (a *Authority) withRevoked(publicKey string) (string, error) {
	claims, err := jwt.DecodeAccountClaims(a.account.JWT)
	if err != nil {
		return "", err
	}
	operator, err := nkeys.FromSeed([]byte(a.operator.Seed))
	if err != nil {
		return "", err
	}
	claims.RevokeAt(publicKey, forEver())
	return claims.Encode(operator)
}

// save replaces the file: whoever reads it meanwhile sees the old or the new.
func (a *Authority) save() error {
	f := authorityJSON{Schema: 1, Operator: a.operator, Account: a.account, System: a.system}
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(a.path, append(data, '\n'), 0o600)
}

// lockFolder makes the caller the only one who changes what is in a folder. The
// lock is on the folder itself, so that there is no file to be left behind.
func lockFolder(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		d.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { d.Close() }, nil // closing unlocks
}
