package restspec

// Auth says how requests prove whose they are. Secrets are named, never
// written; the values come from a file or the environment (see [Config]) and
// never reach a log.
type Auth struct {
	// Type is "none", "api_key", "basic", "bearer", "oauth2", "login" or
	// "signed".
	Type string `yaml:"type"`
	// Header or Query carries an API key; Prefix goes before it in a header.
	Header string `yaml:"header"`
	Query  string `yaml:"query"`
	Prefix string `yaml:"prefix"`
	// Secret names the API key, the bearer token, or the password of basic.
	Secret string `yaml:"secret"`
	// User and UserSecret give the user name of basic, in clear or by name.
	User       string `yaml:"user"`
	UserSecret string `yaml:"user_secret"`

	// TokenURL is where tokens of oauth2 come from; it may have settings in it
	// and may be a path under the base.
	TokenURL string `yaml:"token_url"`
	// Grant is "client_credentials" (RFC 6749 4.4) or "refresh_token" (6). A
	// token is kept until it runs out or is refused, and then fetched once; a
	// rotated refresh token is kept in the state directory.
	Grant string `yaml:"grant"`
	// ClientID is the client's id, in clear; it may have settings in it.
	ClientID string `yaml:"client_id"`
	// ClientSecret and RefreshToken name secrets.
	ClientSecret string `yaml:"client_secret"`
	RefreshToken string `yaml:"refresh_token"`
	// Scopes are asked for.
	Scopes []string `yaml:"scopes"`
	// Params are further parameters of the token request, such as "audience";
	// they may have settings in them.
	Params map[string]string `yaml:"params"`
	// ClientAuth is "basic" (default, RFC 6749 2.3.1) or "body".
	ClientAuth string `yaml:"client_auth"`

	// Login is a JSON request that trades secrets for a token, for systems
	// with a sign-in of their own.
	Login *Login `yaml:"login"`
	// Sign says how requests are signed, for type "signed".
	Sign *Signature `yaml:"sign"`
}

// Login is a sign-in that answers with a token, for auth of type "login".
type Login struct {
	// Post is the path.
	Post string `yaml:"post"`
	// JSON is the body; values may be "{{ .secret.NAME }}".
	JSON map[string]string `yaml:"json"`
	// Token is the path of the token in the answer.
	Token string `yaml:"token"`
	// TTL is how long a token is used; 10m.
	TTL Duration `yaml:"ttl"`
}

// Signature is an HMAC over declared parts of a request: of ours, or of a
// system's that calls us back.
type Signature struct {
	// Header carries the signature, with Prefix before it ("sha256=").
	Header string `yaml:"header"`
	Prefix string `yaml:"prefix"`
	// Algorithm is "hmac-sha256" (default), "hmac-sha1" or "hmac-sha512".
	Algorithm string `yaml:"algorithm"`
	// Encoding is "hex" (default), "base64" or "base64url".
	Encoding string `yaml:"encoding"`
	// Secret names the shared secret.
	Secret string `yaml:"secret"`
	// Over is the text that is signed, made of {{ .method }}, {{ .path }},
	// {{ .query }}, {{ .host }}, {{ .body }}, {{ .body_sha256 }},
	// {{ .timestamp }} (Unix seconds) and {{ .nonce }} (ours only), as they are
	// sent.
	Over string `yaml:"over"`
	// Timestamp is the header with the time of signing. Of a callback it has to
	// be within Tolerance (5m) of ours.
	Timestamp string   `yaml:"timestamp"`
	Tolerance Duration `yaml:"tolerance"`
	// Headers are further headers, made of the same parts and of
	// {{ .secret.NAME }}; for requests of ours.
	Headers map[string]string `yaml:"headers"`
}
