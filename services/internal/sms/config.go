package sms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/habeas-data/habeas/services/internal/room"
)

// Config says by whom text messages are sent. One of Twilio, Webhook and File.
type Config struct {
	Twilio  TwilioConfig  `yaml:"twilio"`
	Webhook WebhookConfig `yaml:"webhook"`
	// File takes messages instead of a phone, one line of JSON each, on a
	// developer's machine.
	File string `yaml:"file"`
	// Prefixes are what numbers must begin with; empty means +1, the country
	// code that the United States and Canada share with others.
	Prefixes []string `yaml:"prefixes"`
}

// TwilioConfig is a [Twilio] in settings.
type TwilioConfig struct {
	Account    string          `yaml:"account"`
	Key        string          `yaml:"key"`
	SecretFile room.SecretFile `yaml:"secret_file"`
	From       string          `yaml:"from"`
	Service    string          `yaml:"service"`
	// API is another address of Twilio's, for accounts of other regions.
	API string `yaml:"api"`
}

// WebhookConfig is a [Webhook] in settings.
type WebhookConfig struct {
	URL        string          `yaml:"url"`
	SecretFile room.SecretFile `yaml:"secret_file"`
	Private    bool            `yaml:"private"`
	Plain      bool            `yaml:"plain"`
}

var prefix = regexp.MustCompile(`^\+[1-9][0-9]{0,6}$`)

// Sender makes a Sender of the settings; nil when they name none. File is
// refused unless the program runs on a developer's machine.
func (c Config) Sender(developer bool) (Sender, error) {
	count := 0
	for _, set := range []bool{c.Twilio != TwilioConfig{}, c.Webhook != WebhookConfig{}, c.File != ""} {
		if set {
			count++
		}
	}
	if count == 0 {
		return nil, nil //nolint:nilnil // without a provider there is nobody to send
	}
	if count > 1 {
		return nil, errors.New("sms: want one of twilio, webhook and file")
	}
	prefixes := c.Prefixes
	if len(prefixes) == 0 {
		prefixes = []string{"+1"}
	}
	for i, p := range prefixes {
		if !prefix.MatchString(p) {
			return nil, fmt.Errorf("sms.prefixes[%d]: want a plus and the first digits of numbers, such as +1", i)
		}
	}
	s, err := c.provider(developer)
	if err != nil {
		return nil, err
	}
	return Within{Sender: s, Prefixes: prefixes}, nil
}

func (c Config) provider(developer bool) (Sender, error) {
	switch {
	case c.File != "" && !developer:
		return nil, errors.New("sms.file: writes codes to a file in clear; it works in \"habeas up\" alone: set sms.twilio or sms.webhook")
	case c.File != "":
		return File(c.File), nil
	case c.Webhook != WebhookConfig{}:
		secret, err := c.Webhook.SecretFile.Read()
		if err != nil {
			return nil, fmt.Errorf("sms.webhook.secret_file: %w", err)
		}
		return NewWebhook(c.Webhook.URL, secret, c.Webhook.Private, c.Webhook.Plain)
	default:
		secret, err := c.Twilio.SecretFile.Read()
		if err != nil {
			return nil, fmt.Errorf("sms.twilio.secret_file: %w", err)
		}
		return NewTwilio(Twilio{Account: c.Twilio.Account, Key: c.Twilio.Key, Secret: secret, From: c.Twilio.From, Service: c.Twilio.Service}, c.Twilio.API, false)
	}
}

// File is a Sender that writes messages down, for a developer to read.
type File string

// Send implements [Sender].
func (f File) Send(_ context.Context, m Message) error {
	line, err := json.Marshal(struct {
		At time.Time `json:"at"`
		payload
	}{time.Now().UTC(), payload{ID: m.ID, To: m.To.Reveal(), Text: m.Text, Language: m.Language}})
	if err != nil {
		return fmt.Errorf("writing a text message down: it can't be encoded: %w", ErrRefused)
	}
	out, err := os.OpenFile(string(f), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing a text message down: %w: %w", err, ErrUnavailable)
	}
	_, err = out.Write(append(line, '\n'))
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("writing a text message down: %w: %w", err, ErrUnavailable)
	}
	return nil
}
