DROP TABLE readmes;
