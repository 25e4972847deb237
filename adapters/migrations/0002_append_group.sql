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
AS $$
BEGIN
  -- The writer's own connection has these for its session; through a pooler they are set here, at a
  -- tenth of the call's cost. A plan is made once, since planning anew takes half of the time; so it
  -- must not read tables whole that were small then.
  IF current_setting('enable_mergejoin') = 'on' THEN
    PERFORM set_config('plan_cache_mode', 'force_generic_plan', true),
      set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
      set_config('enable_mergejoin', 'off', true), set_config('lock_timeout', '5s', true);
  END IF;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RETURN false;
  END IF;

  -- Looked at before the lock: if the size turns out to be the one remembered, nothing in the project
  -- has changed since, and what these found still holds. Arrays are unnested in the SELECT list: a
  -- function in FROM would copy every content once more.
  IF EXISTS (SELECT FROM (SELECT unnest(event_project) AS p, unnest(event_id) AS i) AS t
             JOIN event ON project_id = p AND id = i) THEN
    RETURN false;
  END IF;
  IF cardinality(key_key) > 0 AND
     EXISTS (SELECT FROM (SELECT unnest(key_project) AS p, unnest(key_key) AS k) AS t
             JOIN idempotency ON project_id = p AND key = k) THEN
    RETURN false;
  END IF;
  IF cardinality(blob_sha256) > 0 AND
     EXISTS (SELECT FROM (SELECT unnest(blob_project) AS p, unnest(blob_sha256) AS s) AS t
             JOIN erasure ON project_id = p AND sha256 = s) THEN
    RETURN false;
  END IF;
  IF cardinality(referred_sha256) > 0 AND
     EXISTS (SELECT FROM (SELECT unnest(referred_project) AS p, unnest(referred_sha256) AS s) AS t
             WHERE NOT EXISTS (SELECT FROM blob WHERE project_id = p AND sha256 = s)) THEN
    RETURN false;
  END IF;

  IF cardinality(log_project) > 1 THEN
    -- All or nothing: all are locked before the first is changed, and looked at before that, since a
    -- wrong guess then costs neither a lock nor a flush.
    FOR at IN 1 .. cardinality(log_project) LOOP
      PERFORM FROM project_log WHERE project_id = log_project[at] AND size = log_known_size[at];
      IF NOT FOUND THEN
        RETURN false;
      END IF;
    END LOOP;
    FOR at IN 1 .. cardinality(log_project) LOOP
      PERFORM FROM project_log WHERE project_id = log_project[at] AND size = log_known_size[at]
      FOR UPDATE;
      IF NOT FOUND THEN
        RETURN false;
      END IF;
    END LOOP;
  END IF;
  FOR at IN 1 .. cardinality(log_project) LOOP
    UPDATE project_log
    SET size = log_size[at], frontier = log_frontier[at], last_time = log_time[at]
    WHERE project_id = log_project[at] AND size = log_known_size[at];
    IF NOT FOUND THEN
      RETURN false;
    END IF;
  END LOOP;

  IF cardinality(blob_sha256) > 0 THEN
    INSERT INTO blob (project_id, sha256, size_bytes, crc32, encoding, content)
    SELECT unnest(blob_project), unnest(blob_sha256), unnest(blob_size_bytes),
      unnest(blob_crc32), 0, unnest(blob_content)
    ON CONFLICT DO NOTHING;
  END IF;
  INSERT INTO event (project_id, position, stream, version, type, id, actor, time, line, leaf)
  SELECT unnest(event_project), unnest(event_position), unnest(event_stream),
    unnest(event_version), unnest(event_type), unnest(event_id), unnest(event_actor),
    unnest(event_time), unnest(event_line), unnest(event_leaf);
  IF cardinality(version_key) > 0 THEN
    INSERT INTO artifact_version (project_id, kind, key, version, position, sha256, size_bytes,
      media_type, title, actor, time, citations)
    SELECT unnest(version_project), unnest(version_kind), unnest(version_key),
      unnest(version_version), unnest(version_position), unnest(version_sha256),
      unnest(version_size_bytes), unnest(version_media_type), unnest(version_title),
      unnest(version_actor), unnest(version_time), 0;
    INSERT INTO artifact_latest (project_id, kind, key, version)
    SELECT unnest(latest_project), unnest(latest_kind), unnest(latest_key), unnest(latest_version)
    ON CONFLICT (project_id, kind, key) DO UPDATE SET version = excluded.version
    WHERE artifact_latest.version < excluded.version;
  END IF;
  IF cardinality(key_key) > 0 THEN
    INSERT INTO idempotency (project_id, key, request_sha256, position, count)
    SELECT unnest(key_project), unnest(key_key), unnest(key_request_sha256),
      unnest(key_position), unnest(key_count);
  END IF;
  RETURN true;
END $$;

REVOKE ALL ON FUNCTION append_group FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_group TO deedbook_service;
