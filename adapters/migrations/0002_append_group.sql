-- The fast path of an append: one call for a group that was decided before its projects were locked.
-- A project whose size is what the writer remembers has not changed, so every version, position and
-- hash the writer worked out holds. Writes everything and answers true, or nothing and answers false;
-- then the writer decides again under the locks. All arrays of one group have one length.

CREATE FUNCTION append_group(
  -- projects, sorted; this order of locks is everybody's
  log_project text[], log_known_size bigint[], log_size bigint[], log_frontier bytea[],
  log_time timestamptz[],
  event_project text[], event_position bigint[], event_stream text[], event_version bigint[],
  event_type text[], event_id uuid[], event_actor text[], event_time timestamptz[],
  event_line bytea[], event_leaf bytea[],
  -- contents that come along, and contents that must be there already
  blob_project text[], blob_sha256 bytea[], blob_size_bytes bigint[], blob_crc32 bigint[],
  blob_content bytea[],
  referred_project text[], referred_sha256 bytea[],
  key_project text[], key_key text[], key_request_sha256 bytea[], key_position bigint[],
  key_count int[],
  version_project text[], version_kind text[], version_key text[], version_version bigint[],
  version_position bigint[], version_sha256 bytea[], version_size_bytes bigint[],
  version_media_type text[], version_title text[], version_actor text[],
  version_time timestamptz[],
  -- the greatest version of each artifact
  latest_project text[], latest_kind text[], latest_key text[], latest_version bigint[]
) RETURNS boolean
LANGUAGE plpgsql VOLATILE                       -- each statement sees what was committed before it
SET lock_timeout = '5s'
SET enable_seqscan = off                        -- a plan made while the tables were small is kept,
SET enable_hashjoin = off                       -- and would read them whole when they are large
SET enable_mergejoin = off
AS $$
DECLARE
  found bigint;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RETURN false;
  END IF;
  FOR at IN 1 .. cardinality(log_project) LOOP
    -- Look before locking: a wrong guess then costs neither a lock nor a flush.
    SELECT size INTO found FROM project_log WHERE project_id = log_project[at];
    IF found IS DISTINCT FROM log_known_size[at] THEN
      RETURN false;
    END IF;
  END LOOP;
  FOR at IN 1 .. cardinality(log_project) LOOP
    SELECT size INTO found FROM project_log WHERE project_id = log_project[at] FOR UPDATE;
    IF found IS DISTINCT FROM log_known_size[at] THEN
      RETURN false;
    END IF;
  END LOOP;

  IF EXISTS (SELECT FROM unnest(event_project, event_id) AS t (p, i)
             JOIN event ON project_id = p AND id = i) THEN
    RETURN false;
  END IF;
  IF cardinality(key_key) > 0 AND
     EXISTS (SELECT FROM unnest(key_project, key_key) AS t (p, k)
             JOIN idempotency ON project_id = p AND key = k) THEN
    RETURN false;
  END IF;
  IF cardinality(blob_sha256) > 0 AND
     EXISTS (SELECT FROM unnest(blob_project, blob_sha256) AS t (p, s)
             JOIN erasure ON project_id = p AND sha256 = s) THEN
    RETURN false;
  END IF;
  IF cardinality(referred_sha256) > 0 AND
     EXISTS (SELECT FROM unnest(referred_project, referred_sha256) AS t (p, s)
             WHERE NOT EXISTS (SELECT FROM blob WHERE project_id = p AND sha256 = s)) THEN
    RETURN false;
  END IF;

  IF cardinality(blob_sha256) > 0 THEN
    INSERT INTO blob (project_id, sha256, size_bytes, crc32, encoding, content)
    SELECT p, s, z, c, 0, b
    FROM unnest(blob_project, blob_sha256, blob_size_bytes, blob_crc32, blob_content)
      AS t (p, s, z, c, b)
    ON CONFLICT DO NOTHING;
  END IF;
  INSERT INTO event (project_id, position, stream, version, type, id, actor, time, line, leaf)
  SELECT * FROM unnest(event_project, event_position, event_stream, event_version, event_type,
    event_id, event_actor, event_time, event_line, event_leaf);
  IF cardinality(version_key) > 0 THEN
    INSERT INTO artifact_version (project_id, kind, key, version, position, sha256, size_bytes,
      media_type, title, actor, time, citations)
    SELECT *, 0 FROM unnest(version_project, version_kind, version_key, version_version,
      version_position, version_sha256, version_size_bytes, version_media_type, version_title,
      version_actor, version_time);
    INSERT INTO artifact_latest (project_id, kind, key, version)
    SELECT * FROM unnest(latest_project, latest_kind, latest_key, latest_version)
    ON CONFLICT (project_id, kind, key) DO UPDATE SET version = excluded.version
    WHERE artifact_latest.version < excluded.version;
  END IF;
  IF cardinality(key_key) > 0 THEN
    INSERT INTO idempotency (project_id, key, request_sha256, position, count)
    SELECT * FROM unnest(key_project, key_key, key_request_sha256, key_position, key_count);
  END IF;
  UPDATE project_log SET size = s, frontier = f, last_time = t
  FROM unnest(log_project, log_size, log_frontier, log_time) AS u (p, s, f, t)
  WHERE project_id = p;
  RETURN true;
END $$;

REVOKE ALL ON FUNCTION append_group FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_group TO deedbook_service;
