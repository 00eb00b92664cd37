package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/habeas-data/habeas/connectors/sdk"
)

const (
	// partSize is how much of a new version is held in memory before it is sent.
	partSize = 8 << 20
	// maxParts is how many parts S3 takes for one object, with some to spare.
	maxParts = 9_000
	// cleanup is how long undoing may take after the caller has given up.
	cleanup = 30 * time.Second
)

// replace writes the new version on the condition that the one that was read
// is still the newest. A server that ignores the condition is found out
// beforehand; there the new version is written to a versioned bucket, what it
// replaced is looked at afterwards, and the new version is taken back if that
// was not what had been read.
func (r *remote) replace(ctx context.Context, key string, write func(src source, dst io.Writer) error) (_ replaced, err error) {
	status, err := r.status(ctx)
	if err != nil {
		return replaced{}, err
	}
	conditional, err := r.honoursConditions(ctx, key)
	if err != nil {
		return replaced{}, err
	}
	if !conditional && status != types.BucketVersioningStatusEnabled {
		return replaced{}, sdk.Permanent(sdk.WithCode(sdk.Configuration, errors.New("the server ignores If-Match, so another program's writing could be lost: turn the bucket's versioning on")))
	}
	h, err := r.head(ctx, key, "")
	if err != nil {
		return replaced{}, err
	}
	src := r.source(ctx, key, h)
	defer func() { err = errors.Join(err, src.Close()) }()
	in, err := r.inherit(ctx, key, h)
	if err != nil {
		return replaced{}, err
	}
	if conditional {
		in.IfMatch = &h.etag
	}
	w := &partWriter{ctx: ctx, r: r, in: in, size: max(partSize, h.size/maxParts)}
	if err := write(src, w); err != nil {
		return replaced{}, errors.Join(err, w.abort())
	}
	version, err := w.finish()
	if err != nil {
		return replaced{}, err
	}
	if !conditional {
		if err := r.confirm(ctx, key, version, h.version); err != nil {
			return replaced{}, err
		}
	}
	return r.removeReplaced(ctx, key, h.version)
}

// removeReplaced removes the version that was replaced, or counts it as left.
func (r *remote) removeReplaced(ctx context.Context, key, version string) (replaced, error) {
	status, err := r.status(ctx)
	if err != nil || status == "" {
		return replaced{}, err
	}
	if !r.searchOld {
		return replaced{otherNames: 1}, nil
	}
	if version == "" {
		version = "null" // written before the bucket began to keep versions
	}
	if version == "null" && status != types.BucketVersioningStatusEnabled {
		return replaced{}, nil // with versioning suspended the new version took its place
	}
	return replaced{}, r.discard(ctx, object{key: key, version: version})
}

// confirm makes sure that a version that was written without a condition
// replaced the one that was read, and takes it back if not.
func (r *remote) confirm(ctx context.Context, key, written, read string) error {
	out, err := r.client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &r.name, Prefix: &key})
	if err != nil {
		return fmt.Errorf("looking at what was replaced: %w", explain(err))
	}
	before := ""
	found := false
	for _, v := range out.Versions {
		if aws.ToString(v.Key) != key {
			break
		}
		if found {
			before = aws.ToString(v.VersionId)
			break
		}
		found = aws.ToString(v.VersionId) == written
	}
	if found && before == read {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	_, err = r.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &r.name, Key: &key, VersionId: &written})
	if err != nil {
		return fmt.Errorf("taking back a version that replaced another program's: %w", explain(err))
	}
	return errConflict
}

// honoursConditions tries once whether the server refuses a write whose
// condition can't hold.
func (r *remote) honoursConditions(ctx context.Context, key string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conditional != nil {
		return *r.conditional, nil
	}
	name := probe(key)
	out, err := r.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &r.name, Key: &name, Body: bytes.NewReader(nil), IfMatch: aws.String(`"00000000000000000000000000000000"`),
	})
	why := explain(err)
	switch {
	case errors.Is(why, errConflict), errors.Is(why, errVanished):
		r.conditional = aws.Bool(true)
	case err != nil && codeOf(err) != "NotImplemented":
		return false, fmt.Errorf("trying a conditional write: %w", why)
	case err != nil:
		r.conditional = aws.Bool(false)
	default:
		_, err := r.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &r.name, Key: &name, VersionId: out.VersionId})
		if err != nil {
			return false, fmt.Errorf("removing what a trial wrote: %w", explain(err))
		}
		r.conditional = aws.Bool(false)
	}
	return *r.conditional, nil
}

// partWriter sends a new version: in one request if it is small, else in parts,
// one after the other. Nothing is visible before finish.
type partWriter struct {
	ctx    context.Context //nolint:containedctx // io.Writer takes none; the writer ends with the call that made it
	r      *remote
	in     *s3.PutObjectInput
	size   int64
	buf    []byte
	upload string // empty until there is more than one part
	parts  []types.CompletedPart
}

func (w *partWriter) Write(p []byte) (int, error) {
	n := 0
	for len(p) > 0 {
		if int64(len(w.buf)) == w.size {
			if err := w.flush(); err != nil {
				return n, err
			}
		}
		if w.buf == nil {
			w.buf = make([]byte, 0, min(w.size, 1<<20))
		}
		k := min(len(p), int(w.size)-len(w.buf))
		w.buf = append(w.buf, p[:k]...)
		p, n = p[k:], n+k
	}
	return n, nil
}

func (w *partWriter) flush() error {
	if w.upload == "" {
		if err := w.begin(); err != nil {
			return err
		}
	}
	number := aws.Int32(int32(len(w.parts) + 1)) //nolint:gosec // at most maxParts
	out, err := w.r.client.UploadPart(w.ctx, &s3.UploadPartInput{
		Bucket: w.in.Bucket, Key: w.in.Key, UploadId: &w.upload, PartNumber: number, Body: bytes.NewReader(w.buf),
	})
	if err != nil {
		return fmt.Errorf("writing a part: %w", explain(err))
	}
	part := types.CompletedPart{ETag: out.ETag, PartNumber: number, ChecksumCRC32: out.ChecksumCRC32}
	w.parts, w.buf = append(w.parts, part), w.buf[:0]
	return nil
}

// begin starts an upload in parts and notes it before the first part is sent.
func (w *partWriter) begin() error {
	in := w.in
	out, err := w.r.client.CreateMultipartUpload(w.ctx, &s3.CreateMultipartUploadInput{
		Bucket: in.Bucket, Key: in.Key,
		ContentType: in.ContentType, ContentEncoding: in.ContentEncoding, ContentLanguage: in.ContentLanguage,
		ContentDisposition: in.ContentDisposition, CacheControl: in.CacheControl,
		Metadata: in.Metadata, StorageClass: in.StorageClass, Tagging: in.Tagging,
		ServerSideEncryption: in.ServerSideEncryption, SSEKMSKeyId: in.SSEKMSKeyId, BucketKeyEnabled: in.BucketKeyEnabled,
		WebsiteRedirectLocation: in.WebsiteRedirectLocation,
		ChecksumAlgorithm:       types.ChecksumAlgorithmCrc32,
	})
	if err != nil {
		return fmt.Errorf("beginning to write: %w", explain(err))
	}
	w.upload = aws.ToString(out.UploadId)
	return w.r.uploads.add(upload{Key: aws.ToString(in.Key), ID: w.upload})
}

// finish makes the new version visible and returns its id, which is empty in a
// bucket without versions.
func (w *partWriter) finish() (string, error) {
	if w.upload == "" {
		w.in.Body = bytes.NewReader(w.buf)
		out, err := w.r.client.PutObject(w.ctx, w.in)
		if err != nil {
			return "", fmt.Errorf("writing: %w", explain(err))
		}
		return aws.ToString(out.VersionId), nil
	}
	if len(w.buf) > 0 {
		if err := w.flush(); err != nil {
			return "", errors.Join(err, w.abort())
		}
	}
	out, err := w.r.client.CompleteMultipartUpload(w.ctx, &s3.CompleteMultipartUploadInput{
		Bucket: w.in.Bucket, Key: w.in.Key, UploadId: &w.upload, IfMatch: w.in.IfMatch,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: w.parts},
	})
	if err != nil {
		return "", errors.Join(fmt.Errorf("finishing to write: %w", explain(err)), w.abort())
	}
	return aws.ToString(out.VersionId), w.r.uploads.remove(w.upload)
}

// abort removes the parts sent so far, also when the caller has given up.
func (w *partWriter) abort() error {
	if w.upload == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), cleanup)
	defer cancel()
	_, err := w.r.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: w.in.Bucket, Key: w.in.Key, UploadId: &w.upload})
	if why := explain(err); err != nil && !errors.Is(why, errVanished) {
		return fmt.Errorf("removing an unfinished upload: %w", why)
	}
	return w.r.uploads.remove(w.upload)
}

func tagText(tags []types.Tag) string {
	values := url.Values{}
	for _, t := range tags {
		values.Set(aws.ToString(t.Key), aws.ToString(t.Value))
	}
	return values.Encode()
}
