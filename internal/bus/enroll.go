package bus

import (
	"fmt"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"pinwheel/internal/farm"
)

// Enroll makes credentials for name: the text of a NATS credentials file (a user
// JWT and its seed, which is kept nowhere else), and the public key that stands
// for them in the database. Enrolling a name again does not end its earlier
// credentials.
func (a *Authority) Enroll(name string, role farm.Role) (creds []byte, publicKey string, err error) {
	if err := farm.CheckSlaveName(name); err != nil {
		return nil, "", fmt.Errorf("enroll: %w", err)
	}
	if _, err := farm.ParseRole(string(role)); err != nil {
		return nil, "", fmt.Errorf("enroll %s: %w", name, err)
	}
	return a.issue(name, role)
}

// MasterCreds makes credentials for a master's own connection. Every start may
// make new ones: they are never stored.
func (a *Authority) MasterCreds() ([]byte, error) {
	creds, _, err := a.issue("master", roleMaster)
	return creds, err
}

func (a *Authority) issue(name string, role farm.Role) ([]byte, string, error) {
	account, err := nkeys.FromSeed([]byte(a.account.Seed))
	if err != nil {
		return nil, "", fmt.Errorf("enroll %s: %w", name, err)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		return nil, "", fmt.Errorf("enroll %s: %w", name, err)
	}
	public, err := user.PublicKey()
	if err != nil {
		return nil, "", fmt.Errorf("enroll %s: %w", name, err)
	}
	claims := jwt.NewUserClaims(public)
	claims.Name = name
	claims.Tags.Add("role:" + string(role))
	claims.Permissions = permissions(name, role)
	creds, err := credsFile(claims, account, user)
	if err != nil {
		return nil, "", fmt.Errorf("enroll %s: %w", name, err)
	}
	return creds, public, nil
}

func credsFile(claims *jwt.UserClaims, account, user nkeys.KeyPair) ([]byte, error) {
	token, err := claims.Encode(account)
	if err != nil {
		return nil, err
	}
	seed, err := user.Seed()
	if err != nil {
		return nil, err
	}
	return jwt.FormatUserConfig(token, seed)
}

// permissions is the table of who may say and hear what (design 5). What is
// not allowed here is refused by the server, whatever a program does.
func permissions(name string, role farm.Role) jwt.Permissions {
	var p jwt.Permissions
	p.Sub.Allow.Add(inbox(role, name) + ".>")
	switch role {
	case farm.RoleSlave:
		p.Pub.Allow.Add(slaveSubject(name, ">"))
		p.Pub.Deny.Add(slaveSubject(name, kindControl)) // orders come from above only
		p.Sub.Allow.Add(slaveSubject(name, kindControl))
	case farm.RoleMonitor, farm.RoleOperator:
		p.Pub.Allow.Add(askSubject(role, name, ">"))
		p.Sub.Allow.Add(root+"event.>", slaveSubject("*", kindLog)+".*")
		if role == farm.RoleOperator {
			p.Pub.Allow.Add(steerSubject(name))
		}
	case roleMaster:
		p.Pub.Allow.Add(root+">", "_INBOX.>") // answers go to the askers' inboxes
		p.Sub.Allow.Add(root + ">")
	}
	return p
}

// Identity is what credentials say of their owner.
type Identity struct {
	Name      string
	Role      farm.Role
	PublicKey string
}

// IsMaster says whether they are a master's own, who alone may answer slaves.
func (id Identity) IsMaster() bool { return id.Role == roleMaster }

// ReadIdentity reads the text of a credentials file; the error matches
// ErrCredentials. Only a server can tell whether they are good.
func ReadIdentity(creds []byte) (Identity, error) {
	token, err := jwt.ParseDecoratedJWT(creds)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: not a credentials file as enroll prints it: %w", ErrCredentials, err)
	}
	if _, err := jwt.ParseDecoratedUserNKey(creds); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	id := Identity{Name: claims.Name, PublicKey: claims.Subject}
	for _, role := range []farm.Role{farm.RoleSlave, farm.RoleMonitor, farm.RoleOperator, roleMaster} {
		if claims.Tags.Contains("role:" + string(role)) {
			id.Role = role
		}
	}
	if id.Role == "" {
		return Identity{}, fmt.Errorf("%w: they name no role of this farm", ErrCredentials)
	}
	return id, nil
}
