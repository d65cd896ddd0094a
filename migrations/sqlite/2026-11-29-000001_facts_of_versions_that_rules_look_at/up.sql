-- What its manifest says that rules of the settings look at. install_scripts is yes, no, or unknown
-- where the manifest is not here any more; without a value none of the three was read yet.
ALTER TABLE versions ADD COLUMN licence TEXT;
ALTER TABLE versions ADD COLUMN announced_bytes BIGINT;
ALTER TABLE versions ADD COLUMN install_scripts TEXT;
