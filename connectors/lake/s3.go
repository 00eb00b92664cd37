package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// remote is a bucket that speaks S3.
//
// The portable library opens it from a URL, lists it and reads it. Writing on
// the condition that nobody else wrote, and older versions, are S3's own, so
// these go through its client.
type remote struct {
	blob   *blob.Bucket
	client *s3.Client
	name   string
	// searchOld says that older versions are searched and removed; else they
	// are left to the bucket's lifecycle rules.
	searchOld bool
	uploads   *uploadLog

	mu         sync.Mutex
	known      bool // versioning has been asked for
	versioning types.BucketVersioningStatus
	// conditional is what a trial said of If-Match: nil before it.
	conditional *bool
}

// openRemote makes a remote of a URL such as s3://name?region=eu-central-1. It
// reaches for the bucket when it is first used.
func openRemote(ctx context.Context, address string, searchOld bool, uploads *uploadLog) (*remote, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != s3blob.Scheme || u.Host == "" {
		return nil, errors.New("bucket: write it as s3://NAME?region=REGION")
	}
	if strings.Trim(u.Path, "/") != "" || u.Query().Has("prefix") {
		return nil, errors.New("bucket: write the path into the files of the map's stores, not behind the bucket's name")
	}
	b, err := blob.OpenBucket(ctx, address)
	if err != nil {
		return nil, sdk.Permanent(sdk.WithCode(sdk.Configuration, fmt.Errorf("opening the bucket: %w", err)))
	}
	r := &remote{blob: b, name: u.Host, searchOld: searchOld, uploads: uploads}
	if !b.As(&r.client) {
		return nil, errors.New("opening the bucket: it is not one that speaks S3")
	}
	return r, nil
}

func (r *remote) list(ctx context.Context, prefix string) ([]object, error) {
	status, err := r.status(ctx)
	if err != nil {
		return nil, err
	}
	if r.searchOld && status != "" {
		return r.versions(ctx, prefix)
	}
	var objects []object
	for it := r.blob.List(&blob.ListOptions{Prefix: prefix}); ; {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", orRoot(prefix), explain(err))
		}
		if !isFolderMark(o.Key, o.Size) {
			objects = append(objects, object{key: o.Key, base: o.Key})
		}
	}
}

// isFolderMark reports whether an object is the empty one that some tools make
// for a folder.
func isFolderMark(key string, size int64) bool { return size == 0 && strings.HasSuffix(key, "/") }

func orRoot(prefix string) string {
	if prefix == "" {
		return "the bucket"
	}
	return prefix
}

// versions lists every version of every object below a prefix, the newest of
// each key first.
func (r *remote) versions(ctx context.Context, prefix string) ([]object, error) {
	var objects []object
	pages := s3.NewListObjectVersionsPaginator(r.client, &s3.ListObjectVersionsInput{Bucket: &r.name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the versions of %s: %w", orRoot(prefix), explain(err))
		}
		for _, v := range page.Versions {
			key := aws.ToString(v.Key)
			if isFolderMark(key, aws.ToInt64(v.Size)) {
				continue
			}
			o := object{key: key, base: key, written: aws.ToTime(v.LastModified)}
			if !aws.ToBool(v.IsLatest) {
				o.version = aws.ToString(v.VersionId)
			}
			objects = append(objects, o)
		}
	}
	return objects, nil
}

// older returns the versions of one key that are not the newest.
func (r *remote) older(ctx context.Context, key string) ([]object, error) {
	status, err := r.status(ctx)
	if err != nil || !r.searchOld || status == "" {
		return nil, err
	}
	all, err := r.versions(ctx, key)
	if err != nil {
		return nil, err
	}
	var old []object
	for _, o := range all {
		if o.key == key && o.version != "" {
			old = append(old, o)
		}
	}
	return old, nil
}

// discard removes one older version for good. One that has become the newest
// again, because somebody removed those after it, is a conflict.
func (r *remote) discard(ctx context.Context, o object) error {
	if o.version == "" {
		return errors.New("discarding: only an older version can be discarded")
	}
	now, err := r.head(ctx, o.key, "")
	if err != nil && !errors.Is(err, errVanished) {
		return err
	}
	if err == nil && now.version == o.version {
		return errConflict
	}
	_, err = r.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &r.name, Key: &o.key, VersionId: &o.version})
	if err != nil {
		return fmt.Errorf("removing an older version: %w", explain(err))
	}
	return nil
}

// status is whether the bucket keeps versions: empty when it never did.
func (r *remote) status(ctx context.Context) (types.BucketVersioningStatus, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known {
		return r.versioning, nil
	}
	out, err := r.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &r.name})
	switch {
	case codeOf(err) == "NotImplemented", codeOf(err) == "VersioningNotConfigured":
		// A server that knows no versions keeps none.
	case err != nil:
		return "", fmt.Errorf("asking whether the bucket keeps older versions: %w", explain(err))
	default:
		r.versioning = out.Status
	}
	r.known = true
	return r.versioning, nil
}

// headed is what a server says of one version of an object.
type headed struct {
	etag    string
	version string // empty in a bucket that never kept versions
	size    int64
	out     *s3.HeadObjectOutput
}

func (r *remote) head(ctx context.Context, key, version string) (headed, error) {
	in := &s3.HeadObjectInput{Bucket: &r.name, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	out, err := r.client.HeadObject(ctx, in)
	if err != nil {
		return headed{}, fmt.Errorf("looking at it: %w", explain(err))
	}
	return headed{etag: aws.ToString(out.ETag), version: aws.ToString(out.VersionId), size: aws.ToInt64(out.ContentLength), out: out}, nil
}

func (r *remote) open(ctx context.Context, o object) (source, error) {
	h, err := r.head(ctx, o.key, o.version)
	if err != nil {
		return nil, err
	}
	return r.source(ctx, o.key, h), nil
}

// recover aborts uploads that an earlier process of this connector began and
// did not finish: their parts hold people's records and no reader sees them.
func (r *remote) recover(ctx context.Context, _ string) error {
	return r.uploads.each(func(u upload) error {
		_, err := r.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &r.name, Key: &u.Key, UploadId: &u.ID})
		if err != nil && statusOf(err) != http.StatusNotFound {
			return fmt.Errorf("aborting an unfinished upload of %s: %w", u.Key, explain(err))
		}
		return nil
	})
}

// codeOf is the server's name for an error, or empty.
func codeOf(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

func statusOf(err error) int {
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return e.HTTPStatusCode()
	}
	return 0
}

// serverError is an error of the server without its address and host ids,
// which would end up in evidence.
type serverError struct {
	text string
	err  error
}

func (e *serverError) Error() string { return e.text }
func (e *serverError) Unwrap() error { return e.err }

// explain turns an error of the server into one of this package, or into one
// that says what to do.
func explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	code, status := codeOf(err), statusOf(err)
	text := &serverError{text: "the server answered " + code, err: err}
	switch {
	case code == "NoSuchBucket":
		return sdk.Permanent(sdk.WithCode(sdk.Configuration, &serverError{text: "the bucket does not exist", err: err}))
	case status == http.StatusPreconditionFailed, code == "ConditionalRequestConflict":
		return errConflict
	case code == "InvalidObjectState":
		return sdk.WithCode(sdk.Configuration, &serverError{text: "it is archived and can't be read: restore it, or move it out of the lake", err: err})
	case status == http.StatusNotFound:
		return errVanished
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return sdk.WithCode(sdk.Denied, &serverError{text: "the server refused (" + code + "): see docs/connectors/lake.md for the permissions needed", err: err})
	case code == "SlowDown", status == http.StatusTooManyRequests:
		return sdk.WithCode(sdk.RateLimited, text)
	case code != "":
		return sdk.WithCode(sdk.Unavailable, text)
	}
	return sdk.WithCode(sdk.Unavailable, &serverError{text: "the server can't be reached or broke off", err: err})
}

// probe is the name of an object that is only ever tried to be written, on a
// condition that can't hold.
func probe(key string) string {
	return path.Join(path.Dir(key), fmt.Sprintf("_habeas-probe-%d", time.Now().UnixNano()))
}
