package sms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/services/internal/room"
)

// Twilio is a Sender through Twilio's Messages resource
// (https://www.twilio.com/docs/messaging/api/message-resource).
type Twilio struct {
	// Account is the account's SID, AC….
	Account string
	// Key is the SID of an API key, SK…; empty to use the account's own token.
	Key string
	// Secret is the key's secret, or the account's token.
	Secret room.Secret
	// From is the sender's number, or Service the SID of a messaging service,
	// MG…. One of them.
	From, Service string

	base   string
	client *http.Client
}

var _ Sender = (*Twilio)(nil)

// NewTwilio checks the settings and makes a Sender. base is empty for
// https://api.twilio.com.
func NewTwilio(t Twilio, base string, private bool) (*Twilio, error) {
	if t.base = strings.TrimSuffix(base, "/"); t.base == "" {
		t.base = "https://api.twilio.com"
	}
	switch u, err := url.Parse(t.base); {
	case err != nil || u.Host == "" || u.Scheme != "https" && (!private || u.Scheme != "http"):
		return nil, errors.New("sms.twilio.api: want an https address, such as https://api.dublin.ie1.twilio.com")
	case !strings.HasPrefix(t.Account, "AC"):
		return nil, errors.New("sms.twilio.account: want the account's SID, which begins with AC")
	case t.Key != "" && !strings.HasPrefix(t.Key, "SK"):
		return nil, errors.New("sms.twilio.key: want the SID of an API key, which begins with SK, or leave it out")
	case t.Secret == "":
		return nil, errors.New("sms.twilio.secret_file: is missing: name the file with the key's secret, or with the account's token")
	case (t.From == "") == (t.Service == ""):
		return nil, errors.New("sms.twilio: want one of from (a number of yours) and service (the SID of a messaging service, MG…)")
	}
	t.client = newClient(private, 0)
	return &t, nil
}

// Answers that are about the number, so that the same message to it will not
// be taken later either (https://www.twilio.com/docs/api/errors).
var twilioRefuses = []int{
	21211, // not a valid number
	21214, // can't be reached
	21217, // does not look like a number
	21408, // the account may not send to its region
	21610, // its owner said STOP
	21612, // no way from the sender to it
	21614, // not a mobile number
}

// Send implements [Sender]. Twilio takes no key of ours with a message, so a
// message that may have been taken is looked for before it is sent again.
func (t *Twilio) Send(ctx context.Context, m Message) error {
	if m.Again {
		there, err := t.sent(ctx, m)
		if err != nil || there {
			return err
		}
	}
	form := url.Values{"To": {m.To.Reveal()}, "Body": {m.Text}}
	if t.Service != "" {
		form.Set("MessagingServiceSid", t.Service)
	} else {
		form.Set("From", t.From)
	}
	status, header, body, err := t.call(ctx, http.MethodPost, "", strings.NewReader(form.Encode()))
	switch {
	case status == http.StatusCreated: // taken, even if the rest of the answer got lost
		return nil
	case err != nil:
		return fmt.Errorf("sending a text message by Twilio: %w", err)
	}
	return later(describeTwilio(status, body), header)
}

// describeTwilio says what went wrong without Twilio's own words, which repeat
// the number.
func describeTwilio(status int, body []byte) error {
	var said struct {
		Code int `json:"code"`
	}
	if json.Unmarshal(body, &said) != nil {
		said.Code = 0 // not Twilio's answer, but something's in between
	}
	kind, fix := ErrUnavailable, ""
	switch {
	case slices.Contains(twilioRefuses, said.Code):
		kind = ErrRefused
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound:
		fix = "; check sms.twilio: account, key and secret_file"
	case status == http.StatusBadRequest:
		fix = "; check sms.twilio: from or service"
	}
	return fmt.Errorf("sending a text message by Twilio: answer %d, code %d%s: %w", status, said.Code, fix, kind)
}

// lookBack is how many of the last messages to a number are looked at.
const lookBack = "50"

// sent reports whether Twilio has a message of this text to this number. A
// trial account puts words of its own before the text. When Twilio does not
// let us look, the message counts as not sent: twice is better than never.
func (t *Twilio) sent(ctx context.Context, m Message) (bool, error) {
	query := url.Values{"To": {m.To.Reveal()}, "PageSize": {lookBack}}
	status, header, body, err := t.call(ctx, http.MethodGet, "?"+query.Encode(), nil)
	switch {
	case err != nil:
		return false, fmt.Errorf("asking Twilio for a text message: %w", err)
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return false, later(fmt.Errorf("asking Twilio for a text message: answer %d: %w", status, ErrUnavailable), header)
	case status != http.StatusOK:
		return false, nil
	}
	var list struct {
		Messages []struct {
			Body   string `json:"body"`
			Status string `json:"status"`
		} `json:"messages"`
	}
	if json.Unmarshal(body, &list) != nil {
		return false, nil
	}
	for _, got := range list.Messages {
		if strings.HasSuffix(got.Body, m.Text) && !slices.Contains([]string{"failed", "undelivered", "canceled"}, got.Status) {
			return true, nil
		}
	}
	return false, nil
}

func (t *Twilio) call(ctx context.Context, method, query string, form *strings.Reader) (int, http.Header, []byte, error) {
	address := t.base + "/2010-04-01/Accounts/" + url.PathEscape(t.Account) + "/Messages.json" + query
	var req *http.Request
	var err error
	if form == nil {
		req, err = http.NewRequestWithContext(ctx, method, address, http.NoBody)
	} else {
		req, err = http.NewRequestWithContext(ctx, method, address, form)
	}
	if err != nil {
		return 0, nil, nil, fmt.Errorf("the address is none: %w", ErrUnavailable)
	}
	user := t.Key
	if user == "" {
		user = t.Account
	}
	req.SetBasicAuth(user, t.Secret.Reveal())
	req.Header.Set("Accept", "application/json")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return call(ctx, t.client, req)
}
