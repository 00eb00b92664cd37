package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/tokens"
)

func tokenCommand() *cobra.Command {
	var flags clientFlags
	var by string
	cmd := &cobra.Command{
		Use: "token", Short: "Make, list and revoke tokens of the API",
		Long: "Make, list and revoke tokens of the API. Each has a name, scopes and an end:\n\n" + scopeList(),
	}
	flags.add(cmd)
	cmd.PersistentFlags().StringVar(&by, "by", "", "who acts, as records name them; a token of one's own acts under its own name")
	cmd.AddCommand(tokenCreateCommand(&flags, &by), tokenListCommand(&flags), tokenRevokeCommand(&flags, &by))
	return cmd
}

func scopeList() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 2, 4, 2, ' ', 0)
	for _, s := range tokens.Scopes {
		fmt.Fprintf(t, "  %s\t%s\n", s.Scope, s.For)
	}
	_ = t.Flush() // a builder takes everything
	return b.String()
}

func actorHeader(by string) map[string]string {
	if by == "" {
		return nil
	}
	return map[string]string{intake.HeaderActor: by}
}

func tokenCreateCommand(flags *clientFlags, by *string) *cobra.Command {
	var body tokens.Body
	var scopes []string
	cmd := &cobra.Command{
		Use: "create --name NAME --scope SCOPE", Short: "Make a token; its secret is shown this once", Args: cobra.NoArgs,
		Example: `  habeas token create --name "the auditors" --scope evidence --days 30`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			for _, s := range scopes {
				body.Scopes = append(body.Scopes, tokens.Scope(s))
			}
			var made tokens.View
			if err := c.call(cmd.Context(), http.MethodPost, "/v1/tokens", actorHeader(*by), body, &made); err != nil {
				return err
			}
			if flags.json {
				return printJSON(cmd.OutOrStdout(), made)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s, for %s, until %s. This is the only time its secret is shown:\n", made.ID, strings.Join(made.Scopes, ", "), made.ExpiresAt.Format(time.DateOnly))
			_, err = fmt.Fprintln(cmd.OutOrStdout(), made.Secret)
			return err
		},
	}
	cmd.Flags().StringVar(&body.Name, "name", "", "what it is for")
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, "what it may do; may be given more than once")
	cmd.Flags().IntVar(&body.Days, "days", 90, "how long it is good; at most a year")
	for _, name := range []string{"name", "scope"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flags are defined above
		}
	}
	return cmd
}

func tokenListCommand(flags *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List tokens, newest first, those that ended too", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			var all struct {
				Tokens []tokens.View `json:"tokens"`
			}
			if err := c.call(cmd.Context(), http.MethodGet, "/v1/tokens", nil, nil, &all); err != nil {
				return err
			}
			if flags.json {
				return printJSON(cmd.OutOrStdout(), all)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 2, 4, 2, ' ', 0)
			fmt.Fprintln(t, "token\tstate\tname\tscopes\tmade by\tends\tlast used")
			for _, v := range all.Tokens {
				used := "never"
				if v.UsedAt != nil {
					used = v.UsedAt.Format("2006-01-02 15:04")
				}
				state := v.State
				if v.NotAsking {
					state += ", not asking"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, state, v.Name, strings.Join(v.Scopes, ","), v.CreatedBy, v.ExpiresAt.Format(time.DateOnly), used)
			}
			return t.Flush()
		},
	}
}

func tokenRevokeCommand(flags *clientFlags, by *string) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "End a token at once", Args: one("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			if err := c.call(cmd.Context(), http.MethodDelete, "/v1/tokens/"+url.PathEscape(args[0]), actorHeader(*by), nil, nil); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is revoked\n", args[0])
			return err
		},
	}
}

// printJSON prints for programs.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("printing JSON: %w", err)
	}
	return nil
}

// named takes the person a call is made for out of its header, as the rest of
// the API does.
func named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if who := req.Header.Get(intake.HeaderActor); who != "" && request.ActorOf(req.Context()) == "" {
			req = req.WithContext(request.WithActor(req.Context(), who))
		}
		next.ServeHTTP(w, req)
	})
}
