ALTER TABLE versions DROP COLUMN install_scripts;
ALTER TABLE versions DROP COLUMN announced_bytes;
ALTER TABLE versions DROP COLUMN licence;
