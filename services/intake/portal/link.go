package portal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"

	"github.com/habeas-data/habeas/services/request"
)

// token is what makes a link to a request: it can't be guessed and is not
// stored.
func (p *Portal) token(id request.ID) string {
	mac := hmac.New(sha256.New, p.keys.link)
	_, _ = io.WriteString(mac, string(id)) // a hash never fails
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)[:20])
}

func (p *Portal) link(id request.ID) string { return p.Base + "/r/" + string(id) + "/" + p.token(id) }

// Link is the path of a request's own page, for the messages about it.
func (p *Portal) Link(id request.ID) string { return p.link(id) }

// fromLink checks the parts of a link.
func (p *Portal) fromLink(id, token string) (request.ID, bool) {
	parsed, err := request.ParseID(id)
	if err != nil || !hmac.Equal([]byte(p.token(parsed)), []byte(token)) {
		return "", false
	}
	return parsed, true
}

// seal encrypts what a browser holds for us, for one purpose.
func (p *Portal) seal(purpose string, v any) string {
	plain, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and times can always be encoded
	}
	aead := p.aead()
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce) // never fails
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nonce, nonce, plain, []byte(purpose)))
}

var errSealed = errors.New("not sealed here, or altered")

func (p *Portal) unseal(purpose, text string, v any) error {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	aead := p.aead()
	if err != nil || len(raw) < aead.NonceSize() {
		return errSealed
	}
	plain, err := aead.Open(nil, raw[:aead.NonceSize()], raw[aead.NonceSize():], []byte(purpose))
	if err != nil {
		return errSealed
	}
	return json.Unmarshal(plain, v)
}

func (p *Portal) aead() cipher.AEAD {
	block, err := aes.NewCipher(p.keys.cookie)
	if err != nil {
		panic(err) // the key has the right length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // a block cipher of 128 bits
	}
	return aead
}

// contrastOnWhite is the contrast of a colour with white (WCAG 2.2).
func contrastOnWhite(hex string) float64 {
	luminance, weight := 0.0, [3]float64{0.2126, 0.7152, 0.0722}
	for i := range 3 {
		n, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		if err != nil {
			return 0
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		luminance += weight[i] * c
	}
	return 1.05 / (luminance + 0.05)
}
