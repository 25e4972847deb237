-- Contents that lie outside the database: their row has an address in place of the bytes. Size, SHA-256
-- and CRC-32 stay here, so that an export is still laid out without reading contents.
ALTER TABLE blob ADD COLUMN address text COLLATE "C", ALTER COLUMN content DROP NOT NULL,
  ADD CONSTRAINT blob_lies_in_one_place CHECK ((content IS NULL) <> (address IS NULL));
ALTER TABLE upload ADD COLUMN address text COLLATE "C", ALTER COLUMN content DROP NOT NULL,
  ADD CONSTRAINT upload_lies_in_one_place CHECK ((content IS NULL) <> (address IS NULL));

-- Objects outside that no blob names: written here before they are made, so that a crash loses none.
-- They become a blob's, or are deleted when they have been loose for long.
CREATE TABLE loose_object (
  project_id text COLLATE "C" NOT NULL,
  address text COLLATE "C" NOT NULL,
  since timestamptz NOT NULL DEFAULT now(),
  doomed boolean NOT NULL DEFAULT false,        -- nothing may name it any more
  PRIMARY KEY (project_id, address)
);
CREATE INDEX loose_object_since ON loose_object (since);  -- the sweep looks for the oldest of all projects
GRANT SELECT, INSERT, UPDATE, DELETE ON loose_object TO deedbook_service;

-- Whoever adds or removes a blob need not think of it.
CREATE FUNCTION fasten_object() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM loose_object WHERE project_id = NEW.project_id AND address = NEW.address;
  RETURN NULL;
END $$;
CREATE FUNCTION loosen_object() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO loose_object (project_id, address) VALUES (OLD.project_id, OLD.address)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER fasten AFTER INSERT ON blob FOR EACH ROW
  WHEN (NEW.address IS NOT NULL) EXECUTE FUNCTION fasten_object();
CREATE TRIGGER loosen AFTER DELETE ON blob FOR EACH ROW
  WHEN (OLD.address IS NOT NULL) EXECUTE FUNCTION loosen_object();
