package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"pinwheel/internal/atomicfile"
)

// authorityFile is the one file of an authority: keys and JWTs belong together,
// and one file is there as a whole or not at all.
const authorityFile = "authority.json"

// Authority says who may speak on the wire. It signs the credentials of slaves,
// monitors and operators; a server is told its operator and account, and so
// knows whom to let in without a list of users.
type Authority struct {
	path                      string // of its file
	operator, account, system identity
}

// identity is a key pair and the JWT that describes its owner.
type identity struct {
	Public string `json:"public"`
	Seed   string `json:"seed"`
	JWT    string `json:"jwt"`
}

// authorityJSON is the file's form.
type authorityJSON struct {
	Schema   int      `json:"schema"`
	Operator identity `json:"operator"`
	Account  identity `json:"account"`
	System   identity `json:"system"`
}

// OpenAuthority loads the authority of dir, or makes a new one if there is none.
// Of several processes that make one at once, all end with the same. Whoever
// can read its file can be anyone on the wire, hence its modes; a lost file
// means that everyone has to be enrolled again.
func OpenAuthority(dir string) (*Authority, error) {
	a, err := LoadAuthority(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	path := filepath.Join(dir, authorityFile)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the farm's authority: %w", err)
	}
	// The loser of a race throws its keys away and takes the winner's.
	if err := createAuthority(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return loadAuthority(path)
}

// LoadAuthority loads the authority of dir as it is now; fs.ErrNotExist says that
// there is none.
func LoadAuthority(dir string) (*Authority, error) {
	return loadAuthority(filepath.Join(dir, authorityFile))
}

func loadAuthority(path string) (*Authority, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the farm's authority: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): chmod 600 it, and if it was read, remove it and enroll every slave again",
			path, info.Mode().Perm())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the farm's authority: %w", err)
	}
	a, err := parseAuthority(data)
	if err != nil {
		return nil, fmt.Errorf("read the farm's authority %s: %w", path, err)
	}
	a.path = path
	return a, nil
}

// parseAuthority believes nothing but the seeds: a file that was put together
// from two would sign credentials that no server takes.
func parseAuthority(data []byte) (*Authority, error) {
	var f authorityJSON
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	if f.Schema != 1 {
		return nil, fmt.Errorf("schema %d is not known to this program, which knows 1", f.Schema)
	}
	for _, id := range []identity{f.Operator, f.Account, f.System} {
		if err := id.check(f.Operator.Public); err != nil {
			return nil, err
		}
	}
	return &Authority{operator: f.Operator, account: f.Account, system: f.System}, nil
}

// check holds key, name and JWT of an identity against each other.
func (id identity) check(issuer string) error {
	pair, err := nkeys.FromSeed([]byte(id.Seed))
	if err != nil {
		return fmt.Errorf("seed of %s: %w", id.Public, err)
	}
	if public, err := pair.PublicKey(); err != nil || public != id.Public {
		return fmt.Errorf("seed of %s belongs to another key", id.Public)
	}
	claims, err := jwt.DecodeGeneric(id.JWT)
	if err != nil {
		return fmt.Errorf("JWT of %s: %w", id.Public, err)
	}
	if claims.Subject != id.Public || claims.Issuer != issuer {
		return fmt.Errorf("JWT of %s is about %s, issued by %s", id.Public, claims.Subject, claims.Issuer)
	}
	return nil
}

func createAuthority(path string) error {
	f, err := newAuthority()
	if err != nil {
		return fmt.Errorf("create the farm's authority: %w", err)
	}
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("create the farm's authority: %w", err)
	}
	return atomicfile.Create(path, append(data, '\n'), 0o600)
}

// newAuthority makes the operator, who signs himself, and the two accounts that
// he signs: the farm's, and the one that the server itself speaks in.
func newAuthority() (authorityJSON, error) {
	operator, err := nkeys.CreateOperator()
	if err != nil {
		return authorityJSON{}, err
	}
	system, systemID, err := newAccount("pinwheel-system", operator)
	if err != nil {
		return authorityJSON{}, err
	}
	_, accountID, err := newAccount("pinwheel", operator)
	if err != nil {
		return authorityJSON{}, err
	}
	operatorID, err := newOperator(operator, system)
	if err != nil {
		return authorityJSON{}, err
	}
	return authorityJSON{Schema: 1, Operator: operatorID, Account: accountID, System: systemID}, nil
}

func newOperator(pair nkeys.KeyPair, system string) (identity, error) {
	public, err := pair.PublicKey()
	if err != nil {
		return identity{}, err
	}
	claims := jwt.NewOperatorClaims(public)
	claims.Name = "pinwheel"
	claims.SystemAccount = system
	token, err := claims.Encode(pair)
	if err != nil {
		return identity{}, err
	}
	return newIdentity(pair, public, token)
}

func newAccount(name string, operator nkeys.KeyPair) (string, identity, error) {
	pair, err := nkeys.CreateAccount()
	if err != nil {
		return "", identity{}, err
	}
	public, err := pair.PublicKey()
	if err != nil {
		return "", identity{}, err
	}
	claims := jwt.NewAccountClaims(public)
	claims.Name = name
	// A bearer token would let in whoever saw a JWT, without its seed.
	claims.Limits.DisallowBearer = true
	token, err := claims.Encode(operator)
	if err != nil {
		return "", identity{}, err
	}
	id, err := newIdentity(pair, public, token)
	return public, id, err
}

func newIdentity(pair nkeys.KeyPair, public, token string) (identity, error) {
	seed, err := pair.Seed()
	if err != nil {
		return identity{}, err
	}
	return identity{Public: public, Seed: string(seed), JWT: token}, nil
}

// Trust is what a NATS server must be told to let in whom an authority enrolled,
// and nobody else. None of it is secret.
type Trust struct {
	Operator      string            // JWT
	SystemAccount string            // public key
	Accounts      map[string]string // JWTs by public key
}

// Trust returns what a server must be told.
func (a *Authority) Trust() Trust {
	return Trust{
		Operator:      a.operator.JWT,
		SystemAccount: a.system.Public,
		Accounts:      map[string]string{a.account.Public: a.account.JWT, a.system.Public: a.system.JWT},
	}
}
