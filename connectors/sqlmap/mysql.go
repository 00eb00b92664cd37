package sqlmap

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	driver "github.com/go-sql-driver/mysql"
)

// mysql is the dialect of MariaDB 10.6 and later and of MySQL 8.0.16 and
// later. Values travel as one JSON text and are cast to the column's own type.
type mysql struct{}

// strict is how sessions behave whatever the server's settings are: double
// quotes hold names, and what does not fit is an error.
const strict = "'ANSI_QUOTES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"

func (mysql) open(address string) (*sql.DB, error) {
	wrong := errors.New("database: the address can't be read; want mysql://user@host:3306/name or mariadb://user@host:3306/name")
	u, err := parseAddress(address)
	if err != nil || u.User == nil || strings.Trim(u.Path, "/") == "" {
		return nil, wrong
	}
	config := driver.NewConfig()
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.DBName = strings.TrimPrefix(u.Path, "/")
	config.Net, config.Addr = "tcp", u.Host
	if u.Port() == "" {
		config.Addr = u.Hostname() + ":3306"
	}
	query := u.Query()
	if socket := query.Get("socket"); socket != "" {
		config.Net, config.Addr = "unix", socket
	}
	config.TLSConfig = query.Get("tls")
	// Affected rows are the rows a statement met, whether it changed them or not.
	config.ClientFoundRows = true
	config.InterpolateParams = true
	config.ParseTime = true
	config.Loc = time.UTC
	config.Logger = &driver.NopLogger{}
	config.MaxAllowedPacket = 0 // as the server says
	config.Params = map[string]string{"sql_mode": strict, "time_zone": "'+00:00'"}
	connector, err := driver.NewConnector(config)
	if err != nil {
		// The driver's error may quote the address, password and all.
		return nil, wrong
	}
	return sql.OpenDB(connector), nil
}

func (mysql) begin(ctx context.Context, db *sql.DB, write bool) (transaction, error) {
	if write {
		// A later count must see what an earlier lock saw: no snapshot.
		return db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	}
	return db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

func (d mysql) values(rows [][]value) (string, []any) {
	text, arg := d.relation(rows)
	return "WITH u AS (" + text + ") ", []any{arg}
}

// relation makes u: a query of one argument.
func (mysql) relation(rows [][]value) (string, any) {
	width := len(rows[0])
	longest := make([]int, width)
	texts := make([][]*string, len(rows))
	for i, r := range rows {
		texts[i] = make([]*string, width)
		for n, v := range r {
			if v != nil {
				s := fmt.Sprint(v)
				texts[i][n], longest[n] = &s, max(longest[n], len(s))
			}
		}
	}
	arg, err := json.Marshal(texts)
	if err != nil {
		panic(err) // strings can always be marshalled
	}
	var names, columns strings.Builder
	for n := range width {
		// A LONGTEXT would be kept on disk.
		typ := "LONGTEXT"
		for _, size := range []int{64, 255, 1000, 4000} {
			if longest[n] <= size {
				typ = fmt.Sprintf("VARCHAR(%d)", size)
				break
			}
		}
		fmt.Fprintf(&names, ", j.v%d", n+1)
		fmt.Fprintf(&columns, ", v%d %s CHARACTER SET utf8mb4 PATH '$[%d]'", n+1, typ, n)
	}
	return fmt.Sprintf("SELECT CAST(j.i AS SIGNED) - 1 AS i%s FROM JSON_TABLE(?, '$[*]' COLUMNS (i FOR ORDINALITY%s)) AS j", names.String(), columns.String()), string(arg)
}

func (mysql) rowsPer(int) int { return 5000 }

// join makes the server begin with the values and look each up by an index:
// it does not know how few they are.
func (mysql) join() string { return "STRAIGHT_JOIN" }

func (d mysql) remove(t *table, rows [][]value) (string, []any) {
	u, arg := d.relation(rows)
	return fmt.Sprintf("DELETE t FROM (%s) AS u STRAIGHT_JOIN %s AS t ON %s", u, t.quoted(), sameKey(d, t)), []any{arg}
}

func (d mysql) change(t *table, set []assignment, rows [][]value) (string, []any) {
	u, arg := d.relation(rows)
	list := make([]string, len(set))
	for i, a := range set {
		list[i] = "t." + quote(a.column) + " = " + a.to
	}
	return fmt.Sprintf("UPDATE (%s) AS u STRAIGHT_JOIN %s AS t ON %s SET %s", u, t.quoted(), sameKey(d, t), strings.Join(list, ", ")), []any{arg}
}

// equals follows the column's own idea of equality, as a join would. What the
// column's character set lacks would turn into a question mark.
func (d mysql) equals(expr string, c *column, of string) string {
	same := expr + " = " + d.assign(c, of)
	if c.collation != "" && !strings.HasPrefix(c.charset, "utf8") {
		same += " AND CONVERT(" + expr + " USING utf8mb4) COLLATE utf8mb4_general_ci = " + of + " COLLATE utf8mb4_general_ci"
	}
	return same
}

// exactly is equality byte by byte: no collation, and no spaces at the end
// passed over. It finds by the column's index first.
func (d mysql) exactly(expr string, c *column, of string) string {
	same := d.equals(expr, c, of)
	if c.collation != "" {
		same += " AND CAST(CONVERT(" + expr + " USING utf8mb4) AS BINARY) = CAST(" + of + " AS BINARY)"
	}
	return same
}

// lowered finds by the column's index first, where its collation ignores case.
func (d mysql) lowered(expr string, c *column, of string) string {
	same := "lower(CONVERT(" + expr + " USING utf8mb4)) COLLATE utf8mb4_bin = " + of + " COLLATE utf8mb4_bin"
	if strings.Contains(c.collation, "_ci") {
		same = d.equals(expr, c, of) + " AND " + same
	}
	return same
}

func (mysql) assign(c *column, of string) string {
	switch {
	case c.class == classBytes:
		return "UNHEX(SUBSTRING(" + of + ", 3))"
	case c.collation != "":
		return "CONVERT(" + of + " USING " + c.charset + ") COLLATE " + c.collation
	case c.typ != "":
		return "CAST(" + of + " AS " + c.typ + ")"
	}
	return of
}

func (mysql) raw(expr string, c *column) string {
	switch {
	case c.class == classBytes:
		return "CONCAT('0x', HEX(" + expr + "))"
	case c.collation != "":
		return expr
	case c.typ == "UNSIGNED":
		return "CAST(CAST(" + expr + " AS UNSIGNED) AS CHAR)" // BIT as well
	}
	return "CAST(" + expr + " AS CHAR)"
}

func (mysql) read(v any) value {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return canonical(v)
}

func (mysql) fits(v value, c *column) bool {
	s := fmt.Sprint(v)
	if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
		return false
	}
	switch {
	case c.class == classInt && c.typ == "UNSIGNED":
		_, err := strconv.ParseUint(s, 10, 64)
		return err == nil
	case c.class == classInt:
		_, err := strconv.ParseInt(s, 10, 64)
		return err == nil
	case c.class == classNumber:
		r, ok := new(big.Rat).SetString(s)
		if !ok || !numberShape.MatchString(s) || len(s) > 60 {
			return false
		}
		f, _ := r.Float64()
		return !math.IsInf(f, 0)
	case c.class == classUUID:
		return uuidShape.MatchString(s)
	case c.class == classBytes:
		return strings.HasPrefix(s, "0x")
	case c.class == classTime:
		_, ok := parseTime(v)
		return ok
	}
	return true
}

func (mysql) lock() string { return " FOR UPDATE" }

func (mysql) deferKeys() string { return "" }

// rowwise is true: InnoDB checks foreign keys after each row of a statement.
func (mysql) rowwise() bool { return true }

func (mysql) failure(err error) failure {
	var e *driver.MySQLError
	if !errors.As(err, &e) {
		return failure{text: "MySQL: the server did not answer"}
	}
	// The message may quote a value; the number says enough.
	f := failure{text: fmt.Sprintf("MySQL: error %d, SQLSTATE %s", e.Number, e.SQLState[:])}
	switch e.Number {
	case 1205, 1213, 1020, 1451, 1452, 1412:
		// 1451 and 1452: a row that refers to one of these came in meanwhile.
		// 1020 and 1412: a row or the table changed since it was read.
		f.retry = true
	case 1044, 1045, 1142, 1143, 1227, 1370:
		f.text += ": the account of this connector lacks a permission"
		f.permanent, f.code = e.Number != 1045, "denied"
	default:
		switch state := string(e.SQLState[:]); {
		case strings.HasPrefix(state, "22"), strings.HasPrefix(state, "23"), strings.HasPrefix(state, "42"):
			f.permanent, f.code = true, "configuration"
		}
	}
	return f
}

func (mysql) copied(v any, c *column) any {
	b, ok := v.([]byte)
	if !ok {
		return v
	}
	if c.class == classJSON {
		return rawJSON(string(b))
	}
	if s, ok := readable(b); ok && c.class != classBytes {
		return s
	}
	return base64.StdEncoding.EncodeToString(b)
}
