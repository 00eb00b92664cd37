package sqlmap

import (
	"errors"
	"net/url"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// parseAddress reads a database address. Its errors do not quote it: it may
// hold a password.
func parseAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("config.database: the address can't be read as a URL")
	}
	return u, nil
}

func setPassword(u *url.URL, password sdk.Secret) string {
	with := *u
	with.User = url.UserPassword(u.User.Username(), password.Reveal())
	return with.String()
}
